"""Proved enclosures against closed forms, certified polynomial roots and values that are known."""

from fractions import Fraction

import mpmath
import numpy as np
import pytest
import sympy as sp

from rmtfl import certify
from rmtfl.certify import balls, gaussian, law
from rmtfl.errors import BadInput, ToleranceNotMet
from rmtfl.laws.generalized import GeneralizedMarchenkoPastur
from rmtfl.links import parse
from tests.laws.truth import Truth
from tests.problems import FAMILIES, REFERENCE

TWO = (0.1, (1.0, 8.0), (0.5, 0.5))


def test_marchenko_pastur_in_closed_form():
    low, high = certify.edges(0.25, [2.0], [1.0], 40)
    assert (low.statement, high.statement) == ("proved to 40 digits",) * 2
    assert low.contains("0.5") and high.contains("4.5")
    assert low.radius < 1e-39
    first, last = certify.thresholds(0.25, [2.0], [1.0])
    assert first.contains(1) and last.contains(3)


@pytest.mark.parametrize("problem", REFERENCE, ids=lambda r: r.slug)
def test_published_edges(problem):
    found = certify.edges(problem.ratio, problem.atoms, problem.weights, 30)
    with mpmath.workdps(40):
        # The published ratio is 1/10, the law's the double next to it.
        for enclosure, published in zip(found, problem.edges, strict=True):
            assert abs(mpmath.mpf(enclosure.value) / mpmath.mpf(published) - 1) < 1e-16


@pytest.mark.parametrize("name", ["generic", "spread", "light", "square", "touching"])
def test_enclosures_hold_the_roots_of_the_algebraic_equation(name):
    for i in range(3):
        rng = np.random.default_rng(np.random.SeedSequence([99, i]))
        population = FAMILIES[name](rng)
        exact = Truth(*population, digits=60).edges()
        found = certify.edges(*population, 30)
        assert len(found) == len(exact)
        with mpmath.workdps(70):
            for enclosure, edge in zip(found, exact, strict=True):
                assert enclosure.contains(edge)
                assert enclosure.radius <= 1e-30 * abs(edge)
        law = GeneralizedMarchenkoPastur(*population)
        for enclosure, edge in zip(found, law.edges, strict=True):
            assert abs(float(enclosure.value) - edge) <= 2.3e-16 * edge


def test_exact_contact_is_not_proved():
    with pytest.raises(ToleranceNotMet, match="in contact"):
        certify.edges(*_contact(), 30)
    # One double further on, either way, there is a proof.
    ratio, atoms, weights = _contact()
    assert len(certify.edges(np.nextafter(ratio, 0), atoms, weights)) == 4
    assert len(certify.edges(np.nextafter(ratio, 9), atoms, weights)) == 2


def _contact():
    """Return a contact in exact doubles: w t² = 1/2 at the atoms 1 and 4, so Φ is least half way: 8 γ/(2 · 9) = 1."""
    return 2.25, [0.0, 1.0, 4.0], [15 / 32, 16 / 32, 1 / 32]


def test_contact_is_reported_as_contact():
    law = GeneralizedMarchenkoPastur(*_contact())
    assert len(law.support) == 1
    assert "contact between the atoms 1.0 and 4.0" in law.structure.notes[0]
    # z - z(c) ~ h³ at the contact: density ~ |x - x0|^{1/3} on both sides.
    x0 = float(law.branch.image.hi[~law.branch.critical][0])
    near = law.density(x0 + np.array([-8e-9, -1e-9, 1e-9, 8e-9]))
    np.testing.assert_allclose([near[0] / near[1], near[3] / near[2]], 2.0, rtol=1e-3)


def test_outliers():
    found = certify.outlier(*TWO, 20.0)
    assert abs(Fraction(found.location.value) - Fraction("20.719298245614")) < Fraction(1, 10**12)
    assert abs(Fraction(found.overlap.value) - Fraction(".943699214165813")) < Fraction(1, 10**14)
    assert found.location.digits == 30
    assert certify.outlier(*TWO, 8.0).location is None
    assert certify.outlier(0.1, (1.0, 3.0, 10.0), (0.2, 0.4, 0.4), 12.0).overlap is None
    with pytest.raises(BadInput, match="spike"):
        certify.outlier(*TWO, -1.0)


@pytest.mark.parametrize("name", ["generic", "spread", "light", "square", "touching"])
def test_densities_hold_the_roots_of_the_algebraic_equation(name):
    population = FAMILIES[name](np.random.default_rng(np.random.SeedSequence([98, 1])))
    law = GeneralizedMarchenkoPastur(*population)
    low, high = max(law.support, key=lambda interval: interval[1] - interval[0])
    x = low + (high - low) * np.array([1e-7, 0.3, 1 - 1e-3])
    truth = Truth(*population, digits=60)
    with mpmath.workdps(70):
        for place, found in zip(x.tolist(), certify.density(*population, x.tolist(), 30), strict=True):
            assert found.contains(truth.density(place))
            assert found.radius <= 1e-30 * float(found.value)


def test_densities_are_zero_outside_and_refused_at_an_edge():
    law = GeneralizedMarchenkoPastur(*TWO)
    outside, between = certify.density(*TWO, [-1.0, 3.0])
    assert (outside.value, outside.radius) == (between.value, between.radius) == ("0", 0.0)
    for edge in (0.5, 4.5):
        with pytest.raises(ToleranceNotMet, match="edge"):
            certify.density(0.25, [2.0], [1.0], [edge])
    # A double next to an irrational edge is told from it.
    assert certify.density(*TWO, [law.edges[0]])[0].digits == 30


def test_moments_are_exact():
    # Marchenko-Pastur at γ = 1/2: Narayana polynomials.
    assert certify.moments(0.5, [1.0], [1.0], 4) == (1, Fraction(3, 2), Fraction(11, 4), Fraction(45, 8))
    exact = certify.moments(*TWO, 6)
    np.testing.assert_allclose(GeneralizedMarchenkoPastur(*TWO).moments(6), [float(m) for m in exact], rtol=1e-14)


@pytest.mark.parametrize(
    ("text", "degree", "exact"),
    [
        ("relu(x)", 0, lambda: 1 / mpmath.sqrt(2 * mpmath.pi)),
        ("relu(x)", 1, lambda: mpmath.mpf(1) / 2),
        ("abs(x)", 2, lambda: mpmath.sqrt(2 / mpmath.pi)),
        ("erf(x/sqrt(2))", 1, lambda: 1 / mpmath.sqrt(mpmath.pi)),
        ("sin(x)", 3, lambda: -mpmath.exp(mpmath.mpf(-1) / 2)),
        ("exp(-x**2/2)", 0, lambda: 1 / mpmath.sqrt(2)),
        ("sigmoid(x)", 0, lambda: mpmath.mpf(1) / 2),
        ("x**3 - 3*x", 3, lambda: mpmath.mpf(6)),
        ("tanh(x)", 2, lambda: mpmath.mpf(0)),
    ],
)
def test_hermite_coefficients_known_in_closed_form(text, degree, exact):
    link = parse(text)
    found = certify.hermite_coefficient(link.pieces, link.kinks, degree, 30)
    with mpmath.workdps(60):
        assert found.contains(exact())
    assert found.radius <= 1e-29


def test_hermite_coefficients_against_quadrature():
    link = parse("tanh(x + 7/10)")
    found = certify.hermite_coefficient(link.pieces, link.kinks, 2, 25)
    with mpmath.workdps(40):
        weight = lambda x: (x**2 - 1) * mpmath.tanh(x + mpmath.mpf(7) / 10) * mpmath.npdf(x)  # noqa: E731
        assert found.contains(mpmath.quad(weight, [-14, -4, -1, 0, 1, 4, 14]))
    softplus = parse("softplus(x)")
    by_parts = certify.hermite_coefficient(softplus.pieces, softplus.kinks, 1, 25)
    slope = parse("sigmoid(x)")
    assert by_parts.contains(certify.hermite_coefficient(slope.pieces, slope.kinks, 0, 25).value)


def test_what_cannot_be_bounded_is_refused():
    x = sp.Symbol("x", real=True)
    with pytest.raises(BadInput, match="no polynomial bound"):
        certify.hermite_coefficient([sp.exp(x)], [], 0)
    with pytest.raises(BadInput, match="atan cannot be certified"):
        certify.hermite_coefficient([sp.atan(x)], [], 0)


def test_a_wrong_claim_does_not_pass():
    enclosure = certify.edges(*TWO, 30)[0]
    with mpmath.workdps(50):
        assert not enclosure.contains(mpmath.mpf(enclosure.value) * (1 + mpmath.mpf(10) ** -29))


@pytest.mark.parametrize("off", ["1e-12", "0.5"])
def test_a_point_that_is_not_critical_is_not_certified(monkeypatch, off):
    honest = law.precise.critical_point
    monkeypatch.setattr(law.precise, "critical_point", lambda *args: honest(*args) * (1 + mpmath.mpf(off)))
    with pytest.raises(ToleranceNotMet):
        certify.edges(*TWO, 30)


def test_the_tail_is_inside_the_enclosure():
    # Integrated to 2 only, E[h relu(h)] = 1/2 is missed by 0.13: the bound on the rest must own up to it.
    link = parse("relu(x)")
    with balls.precision(100):
        ball = gaussian._gaussian_integral(link.pieces, link.kinks, 1, 100, reach=2)
        assert ball.contains(balls.exactly(Fraction(1, 2)))
        assert not ball.mid().contains(balls.exactly(Fraction(1, 2)))
        assert 0.01 < float(ball.rad()) < 0.5
