"""The generalized Marchenko-Pastur law against certified roots, quadrature, closed forms and published values."""

import mpmath
import numpy as np
import pytest

from rmtfl.errors import BadInput
from rmtfl.laws.generalized import GeneralizedMarchenkoPastur
from rmtfl.laws.interpolant import Interpolant
from rmtfl.laws.marchenko_pastur import companion_marchenko_pastur, marchenko_pastur
from rmtfl.laws.views import Companion, SingularValues
from tests.laws.truth import Truth
from tests.problems import FAMILIES, REFERENCE, points

#: The promises: edges relative, densities relative (direct, interpolant). Measured on 2000 populations a
#: family: 1.1e-16, 9e-15, 4e-14.
EDGE, DIRECT, INTERPOLATED = 4e-16, 1e-12, 1e-11

#: Populations drawn here and points on each; the full run is validation/laws/populations.py.
SAMPLE = {
    "generic": (6, 10),
    "spread": (6, 10),
    "light": (6, 10),
    "square": (6, 10),
    "touching": (10, 10),
    "fifty": (1, 3),
}


def relative(value, exact):
    return float(abs(mpmath.mpf(float(value)) - exact) / abs(exact))


@pytest.mark.parametrize("problem", REFERENCE, ids=lambda r: r.slug)
class TestPublishedValues:
    def test_edges(self, problem):
        law = GeneralizedMarchenkoPastur(problem.ratio, problem.atoms, problem.weights)
        with mpmath.workdps(40):
            # The published digits end at 18; the law's ratio is the double 0.1, 6e-17 above 1/10.
            for edge, published in zip(law.edges, problem.edges, strict=True):
                assert relative(edge, mpmath.mpf(published)) < EDGE

    def test_outliers(self, problem):
        law = GeneralizedMarchenkoPastur(problem.ratio, problem.atoms, problem.weights)
        for spike, expected in problem.outliers.items():
            found = law.outlier(spike)
            if expected is None:
                assert found.location is None and found.overlap is None
            else:
                assert found.location == pytest.approx(float(expected[0]), rel=3e-15)
                assert found.overlap == pytest.approx(float(expected[1]), rel=1e-14)


@pytest.mark.parametrize("name", FAMILIES)
def test_hard_families(name):
    populations, count = SAMPLE[name]
    for i in range(populations):
        rng = np.random.default_rng(np.random.SeedSequence([20260517, i]))
        ratio, atoms, weights = FAMILIES[name](rng)
        law, truth = GeneralizedMarchenkoPastur(ratio, atoms, weights), Truth(ratio, atoms, weights)
        with mpmath.workdps(60):
            edges = truth.edges()
            assert len(law.edges) == len(edges)
            assert max(map(relative, law.edges, edges)) < EDGE
            x = points(law, rng, count)
            direct, interpolated = law.evaluate(x), Interpolant(law).evaluate(x)
            for k, exact in enumerate(map(truth.density, x.tolist())):
                if exact == 0:
                    assert direct.value[k] == interpolated.value[k] == 0
                    continue
                for found, promise in ((direct, DIRECT), (interpolated, INTERPOLATED)):
                    error = relative(found.value[k], exact)
                    assert error <= promise
                    assert error <= found.error[k] <= promise  # honest, and not by being vague


@pytest.mark.parametrize("off", [-1e-13, 1e-13, -1e-15, 1e-15])
def test_a_hair_from_contact(off):
    # Atoms 1 and 4 of weights 1/2 touch at γ = 1/Φ₁; Φ is linear in γ.
    with mpmath.workdps(50):
        t = [mpmath.mpf(1), mpmath.mpf(4)]
        u = mpmath.findroot(lambda v: sum(a**2 / (v - a) ** 3 for a in t), (1.5, 2.5), solver="anderson")
        contact = 1 / sum(a**2 / (2 * (u - a) ** 2) for a in t)
        ratio = float(contact * (1 + off))
        bridge = mpmath.mpf(ratio) > contact
    law = GeneralizedMarchenkoPastur(ratio, [1, 4], [0.5, 0.5])
    assert len(law.support) == (1 if bridge else 2)
    x = float(Truth(ratio, [1, 4], [0.5, 0.5]).image(flint_real(u)).mid()) * (1 + np.array([-1e-9, 3e-16, 1e-12]))
    exact = [Truth(ratio, [1, 4], [0.5, 0.5]).density(v) for v in x.tolist()]
    np.testing.assert_allclose(law.density(x), [float(v) for v in exact], rtol=DIRECT)
    np.testing.assert_allclose(Interpolant(law).density(x), [float(v) for v in exact], rtol=INTERPOLATED)


def flint_real(x):
    from flint import arb

    return arb(mpmath.nstr(x, 40))


def test_what_double_double_cannot_decide_is_said():
    # Two atoms 1 and 1 + 3e-8 with γ chosen by the exact contact: Φ - 1 is below 1e-30 at its minimum only
    # by luck, so the decision is forced by widening what counts as undecided.
    from rmtfl.laws import edges, precise
    from rmtfl.laws.forward import ForwardMap

    forward = ForwardMap(0.1, [1, 8], [0.5, 0.5])
    minima, least = edges._minima(forward)
    doubtful = type(least)(np.array([1e-30]))
    notes = []
    assert edges._decide(forward, minima, doubtful, notes).tolist() == [True]
    assert "a gap between the atoms 1.0 and 8.0: decided with 50 digits" in notes[0]
    sign, digits = precise.sign_of_least(forward, minima, 0)
    assert (sign, digits) == (-1, 50)


@pytest.mark.parametrize("ratio", [0.3, 1.0, 2.5])
def test_one_atom_is_marchenko_pastur(ratio):
    law, closed = GeneralizedMarchenkoPastur(ratio, [1.7], [1.0]), marchenko_pastur(ratio, 1.7)
    x = np.linspace(*law.support[0], 40)[1:-1]
    z = np.array([0.3 + 0.2j, -1.0, 9.0, 2 + 1e-9j])
    np.testing.assert_allclose(law.density(x), closed.density(x), rtol=1e-12)
    np.testing.assert_allclose(law.cdf(x), closed.cdf(x), rtol=1e-13)
    np.testing.assert_allclose(law.stieltjes(z), closed.stieltjes(z), rtol=1e-12)
    np.testing.assert_allclose(law.stieltjes_slope(z), closed.stieltjes_slope(z), rtol=1e-9)
    np.testing.assert_allclose(
        law.companion_stieltjes(z), companion_marchenko_pastur(ratio, 1.7).stieltjes(z), rtol=1e-12
    )
    np.testing.assert_allclose(law.moments(5), closed.moments(5), rtol=1e-13)
    np.testing.assert_allclose(law.atoms, closed.atoms, atol=1e-15)
    x = np.linspace(*law.support[0], 7)[1:-1] ** 0.5
    singular = SingularValues(law, ratio), SingularValues(closed, ratio)
    np.testing.assert_allclose(singular[0].density(x), singular[1].density(x), rtol=1e-12)
    assert singular[0].outlier(3.0).location == pytest.approx(singular[1].outlier(3.0).location, rel=1e-13)


LAWS = [
    GeneralizedMarchenkoPastur(0.1, [1, 3, 10], [0.2, 0.4, 0.4]),
    GeneralizedMarchenkoPastur(0.4, [0, 1, 20], [0.25, 0.5, 0.25]),
    GeneralizedMarchenkoPastur(3.0, [1, 2, 2, 40], [0.25, 0.25, 0.3, 0.2]),
]


#: Enough for the bridges of these laws, and for points 0.5 off the axis.
GAUSS_LEGENDRE = np.polynomial.legendre.leggauss(1500)


def over_support(law, f):
    """∫ f dmu of the continuous part, by Gauss-Legendre in the angle that takes the edges' square roots out."""
    nodes, weights = GAUSS_LEGENDRE
    angle = 0.5 * np.pi * (nodes + 1)
    total = 0.0
    for low, high in law.support:
        x = low + (high - low) * np.sin(angle / 2) ** 2
        total += np.sum(weights * f(x) * law.density(x) * (high - low) * np.sin(angle)) * np.pi / 4
    return total


@pytest.mark.parametrize("law", LAWS, ids=repr)
class TestAgainstQuadrature:
    def test_mass_and_moments(self, law):
        null = sum(mass for _, mass in law.atoms)
        assert over_support(law, np.ones_like) + null == pytest.approx(1.0, abs=1e-10)
        expected = [over_support(law, lambda x, k=k: x**k) for k in (1, 2, 3)]
        np.testing.assert_allclose(law.moments(3), expected, rtol=1e-9)

    def test_stieltjes_in_the_plane_between_bulks_and_left_of_them(self, law):
        null = sum(mass for _, mass in law.atoms)
        for z in (0.5 + 0.5j, 3 + 0.5j, -2.0, law.edges[-1] + 0.1):
            real = over_support(law, lambda x, z=z: np.real(1 / (x - z)))
            imag = over_support(law, lambda x, z=z: np.imag(1 / (x - z)))
            assert law.stieltjes(z) == pytest.approx(real + 1j * imag - null / z, rel=1e-8)

    def test_slope_is_the_derivative(self, law):
        z, step = np.array([0.7 + 0.3j, 5 + 0.2j]), 1e-5
        numeric = (law.stieltjes(z + step) - law.stieltjes(z - step)) / (2 * step)
        np.testing.assert_allclose(law.stieltjes_slope(z), numeric, rtol=1e-7)

    def test_distribution_function(self, law):
        x = np.concatenate([np.linspace(a, b, 9) for a, b in law.support])
        assert (np.diff(law.cdf(np.sort(x))) >= 0).all()
        step = 1e-5
        middle = np.array([0.3 * a + 0.7 * b for a, b in law.support])
        rate = (law.cdf(middle + step) - law.cdf(middle - step)) / (2 * step)
        np.testing.assert_allclose(rate, law.density(middle), rtol=1e-7)
        q = np.array([0.05, 0.3, 0.77, 0.999])
        found = law.quantile(q)
        null = sum(mass for _, mass in law.atoms)
        np.testing.assert_allclose(law.cdf(found), np.maximum(q, null), atol=4e-15)

    def test_companion_view(self, law):
        view = Companion(law, law.ratio)
        z = np.array([0.5 + 0.1j, 30 + 2j])
        np.testing.assert_allclose(view.stieltjes(z), law.companion_stieltjes(z), rtol=1e-12)
        assert view.cdf(law.edges[-1] + 1) == pytest.approx(1.0, abs=1e-14)
        assert view.cdf(-1.0) == 0


def test_the_root_off_the_axis_solves_the_equation():
    for name in ("generic", "spread", "light", "touching"):
        rng = np.random.default_rng(np.random.SeedSequence([4, len(name)]))
        ratio, atoms, weights = FAMILIES[name](rng)
        law = GeneralizedMarchenkoPastur(ratio, atoms, weights)
        x = np.concatenate([rng.uniform(-1, 2, 6) * law.edges[-1], np.repeat(law.edges, 2)])
        z = x + 1j * 10.0 ** rng.uniform(-12, 1, x.size)
        roots = law.roots(z)
        assert (roots.h.imag > 0).all()
        with mpmath.workdps(50):
            for k in range(z.size):
                u = (
                    mpmath.mpf(float(roots.anchor.hi[k]))
                    + mpmath.mpf(float(roots.anchor.lo[k]))
                    + mpmath.mpc(roots.h[k])
                )
                pairs = [
                    (mpmath.mpf(float(t)), mpmath.mpf(float(w)) * ratio) for t, w in zip(atoms, weights, strict=True)
                ]
                value = u + mpmath.fsum(g * t * u / (u - t) for t, g in pairs)
                slope = 1 - mpmath.fsum(g * t**2 / (u - t) ** 2 for t, g in pairs)
                true_error = abs((value - mpmath.mpc(complex(z[k]))) / slope)
                assert true_error <= 2 * roots.error[k] + 4e-16 * abs(complex(roots.h[k]))
                assert roots.error[k] <= 3e-13 * abs(u)


def test_gaps_have_the_exact_masses_of_their_atoms():
    law = GeneralizedMarchenkoPastur(0.1, [1, 3, 10], [0.2, 0.4, 0.4])
    gaps = np.array([0.1, 1.5, 5.0, 99.0])
    np.testing.assert_allclose(law.cdf(gaps), [0, 0.2, 0.6, 1.0], atol=1e-16)
    assert (law.density(gaps) == 0).all()


def test_the_threshold_of_a_spike():
    law = GeneralizedMarchenkoPastur(0.1, [1, 8], [0.5, 0.5])
    with mpmath.workdps(40):
        phi = lambda u: mpmath.mpf(law.ratio) / 2 * (1 / (u - 1) ** 2 + 64 / (u - 8) ** 2) - 1  # noqa: E731
        threshold = mpmath.findroot(phi, 10)
        for off in (-1e-12, 1e-12, 1e-6):
            spike = float(threshold * (1 + off))
            found = law.outlier(spike)
            assert (found.location is None) == (off < 0)
            if found.location is not None:
                ell = mpmath.mpf(spike)
                z = ell * (1 + mpmath.mpf(law.ratio) / 2 * (1 / (ell - 1) + 8 / (ell - 8)))
                assert relative(found.location, z) <= found.error + 2**-53
                assert relative(found.overlap, -ell * phi(ell) / z) <= found.error + 2**-53
                assert found.error < 1e-12
    assert law.outlier(8.0).location is None
    # Between the bulks, and below them, there are outliers too.
    assert law.edges[1] < law.outlier(2.5).location < law.edges[2]
    assert law.outlier(0.1).location < law.edges[0]


def test_bad_populations_are_named():
    for change, message in (
        ({"ratio": 0.0}, "ratio = 0.0"),
        ({"ratio": float("nan")}, "ratio = nan"),
        ({"atoms": [1, -2]}, "atoms: .*-2.0"),
        ({"atoms": [1, np.inf]}, "atoms: .*inf"),
        ({"weights": [0.5, 0.4]}, "sum to 0.9"),
        ({"weights": [1.5, -0.5]}, "weights: .*-0.5"),
        ({"weights": [1.0]}, "same positive length"),
        ({"atoms": [0, 0]}, "at least one positive atom"),
    ):
        values = {"ratio": 0.5, "atoms": [1, 2], "weights": [0.5, 0.5], **change}
        with pytest.raises(BadInput, match=message):
            GeneralizedMarchenkoPastur(**values)
    law = LAWS[0]
    with pytest.raises(BadInput, match="finite"):
        law.density([1.0, np.nan])
    with pytest.raises(BadInput, match="spikes"):
        law.outlier(-1.0)
    with pytest.raises(BadInput, match="infinite at 0"):
        GeneralizedMarchenkoPastur(1.0, [1, 2], [0.5, 0.5]).density([0.0])


def test_doubles_are_taken_as_they_are():
    # A sum off 1 by 5e-13 is accepted and kept: the mass is what it is, not 1.
    weights = [0.5, 0.5 + 5e-13]
    law = GeneralizedMarchenkoPastur(0.2, [1, 3], weights)
    assert law.cdf(1e3) == pytest.approx(1 + 5e-13, abs=2e-16)
    edges = Truth(0.2, [1, 3], weights).edges()
    with mpmath.workdps(40):
        assert max(map(relative, law.edges, edges)) < EDGE
        assert relative(GeneralizedMarchenkoPastur(0.2, [1, 3], [0.5, 0.5]).edges[-1], edges[-1]) > 1e-14


def test_thousand_atoms():
    atoms = np.linspace(1, 40, 1000)
    law = GeneralizedMarchenkoPastur(0.05, atoms, np.full(1000, 1 / 1000))
    found = law.evaluate(np.linspace(*law.support[0], 50)[1:-1])
    assert found.error.max() < DIRECT
    # The transform of the density's own law is an independent check of all thousand terms.
    z = 70.0 + 0j
    u = -1 / law.companion_stieltjes(z)
    np.testing.assert_allclose(u * (1 + 0.05 * np.mean(atoms / (u - atoms))), z, rtol=1e-13)


@pytest.mark.parametrize("name", ["generic", "square", "touching"])
def test_any_number_of_digits(name):
    rng = np.random.default_rng(np.random.SeedSequence([77]))
    population = FAMILIES[name](rng)
    law, truth = GeneralizedMarchenkoPastur(*population), Truth(*population, digits=60)
    x = points(law, rng, 3)
    spike = float(law.edges[-1])
    edges, densities, (outlier, low) = law.with_digits(50, x, [spike, law.forward.atoms[-1]])
    assert low is None
    with mpmath.workdps(70):
        for found, exact in zip(edges, truth.edges(), strict=True):
            assert abs(mpmath.mpf(found) / exact - 1) < mpmath.mpf(10) ** -49
        for found, exact in zip(densities, map(truth.density, x.tolist()), strict=True):
            assert abs(mpmath.mpf(found) / exact - 1) < mpmath.mpf(10) ** -49
        assert outlier is not None
        location = law.outlier(spike).location
        assert abs(mpmath.mpf(outlier[0]) / location - 1) < 3e-16
    assert law.with_digits(30, [-1.0])[1] == ["0"]
