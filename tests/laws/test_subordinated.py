"""Free convolutions with Marchenko-Pastur and the semicircle against closed forms, atoms, cumulants and matrices."""

import mpmath
import numpy as np
import pytest
from scipy.integrate import quad

from rmtfl.errors import BadInput, ToleranceNotMet
from rmtfl.laws import subordinated
from rmtfl.laws.generalized import GeneralizedMarchenkoPastur, moments_from_free_cumulants
from rmtfl.laws.marchenko_pastur import marchenko_pastur
from rmtfl.laws.semicircle import Semicircle
from rmtfl.laws.subordinated import PlusSemicircle, SampleCovariance, free_cumulants_from_moments
from rmtfl.laws.uniform import PiecewiseUniform
from rmtfl.solve import solve

UNIFORM = PiecewiseUniform(((1.0, 2.0, 0.5), (10.0, 12.0, 0.3)), ((5.0, 0.2),))


def integral(law, f):
    total = 0.0
    nodes, weights = np.polynomial.legendre.leggauss(400)
    for low, high in law.support:
        angle = 0.5 * np.pi * (nodes + 1)
        x = low + (high - low) * np.sin(angle / 2) ** 2
        total += 0.5 * np.pi * np.sum(weights * f(x) * law.density(x) * (high - low) * np.sin(angle) / 2)
    return total


def test_semicircle_plus_semicircle():
    law, closed = PlusSemicircle(Semicircle(1.0, 0.5), 2.0), Semicircle(3.0, 0.5)
    np.testing.assert_allclose(law.support, closed.support, rtol=1e-12)
    x = np.linspace(*closed.support[0], 60)[2:-2]
    np.testing.assert_allclose(law.density(x), closed.density(x), rtol=1e-12)
    z = np.array([0.3 + 0.1j, 5.0, -7 + 1j])
    np.testing.assert_allclose(law.stieltjes(z), closed.stieltjes(z), rtol=1e-12)
    np.testing.assert_allclose(law.stieltjes_slope(z), closed.stieltjes_slope(z), rtol=1e-11)
    np.testing.assert_allclose(law.moments(6), closed.moments(6), rtol=1e-12)
    np.testing.assert_allclose(law.cdf(x), closed.cdf(x), atol=1e-12)


def test_marchenko_pastur_times_marchenko_pastur():
    # γ = 1 twice: Fuss-Catalan; with x = sin³(3φ)/(sin φ sin²(2φ)) the density is in closed form
    # (Bousquet-Mélou and others; here from the cubic u³ of its own equation).
    law = SampleCovariance(marchenko_pastur(1.0), 1.0)
    assert law.edges[-1] == pytest.approx(27 / 4, rel=1e-12)
    np.testing.assert_allclose(law.moments(5), [1, 3, 12, 55, 273], rtol=1e-12)
    phi = np.linspace(0.05, 1.0, 30)
    x = np.sin(3 * phi) ** 3 / (np.sin(phi) * np.sin(2 * phi) ** 2)
    density = np.sin(phi) ** 2 * np.sin(2 * phi) / np.sin(3 * phi) ** 2 / np.pi
    np.testing.assert_allclose(law.density(x), density, rtol=1e-12)


@pytest.mark.parametrize("ratios", [(0.3, 0.5), (0.5, 2.0)])
def test_marchenko_pastur_times_marchenko_pastur_solves_its_cubic(ratios):
    inner, outer = ratios
    law = SampleCovariance(marchenko_pastur(inner), outer)
    swapped = SampleCovariance(marchenko_pastur(outer), inner)
    # The product commutes.
    x = np.linspace(*law.support[0], 40)[1:-1]
    np.testing.assert_allclose(law.density(x), swapped.density(x), rtol=1e-11)
    with mpmath.workdps(40):
        for point in x[::8].tolist():
            # S-transform of the product: x = (1 + s)(1 + γ s)(1 + γ' s)/s with s = -1 - x m.
            s = mpmath.polyroots(
                [inner * outer, inner + outer + inner * outer, 1 + inner + outer - point, 1], maxsteps=200
            )
            (root,) = [r for r in s if r.imag < -1e-12] or [None]
            exact = float(-root.imag / (point * mpmath.pi))
            assert law.density(point) == pytest.approx(exact, rel=1e-12)


def test_atoms_agree_with_the_atomic_law():
    atomic = GeneralizedMarchenkoPastur(0.2, [1.0], [1.0])
    law = SampleCovariance(atomic, 0.3)
    closed = SampleCovariance(marchenko_pastur(0.2), 0.3)
    x = np.linspace(*closed.support[0], 9)[1:-1]
    np.testing.assert_allclose(law.density(x), closed.density(x), rtol=1e-11)


@pytest.mark.parametrize(
    "law", [SampleCovariance(UNIFORM, 0.02), SampleCovariance(UNIFORM, 2.0), PlusSemicircle(UNIFORM, 0.5)]
)
class TestUniformPopulations:
    def test_mass_and_moments(self, law):
        null = sum(mass for _, mass in law.atoms)
        found = law.evaluate(np.linspace(law.edges[0], law.edges[-1], 50))
        assert integral(law, lambda x: 1.0) + null == pytest.approx(1.0, abs=1e-12)
        np.testing.assert_allclose([integral(law, lambda x, k=k: x**k) for k in (1, 2, 3)], law.moments(3), rtol=1e-12)
        assert np.isfinite(found.error).all()

    def test_transform_is_that_of_the_density(self, law):
        null = sum(mass for _, mass in law.atoms)
        for z in (3 + 0.5j, law.edges[-1] + 1, law.edges[0] - 0.5):
            assert law.stieltjes(z) == pytest.approx(integral(law, lambda x, z=z: 1 / (x - z)) - null / z, rel=1e-10)

    def test_quantiles(self, law):
        q = np.array([0.95])
        null = sum(mass for _, mass in law.atoms)
        np.testing.assert_allclose(law.cdf(law.quantile(q)), np.maximum(q, null), atol=1e-11)


def test_uniform_transform_by_quadrature():
    for z in (0.3 + 0.7j, -2.0, 1e6):
        expected = 0.2 / (5 - z)
        for low, high, mass in UNIFORM.pieces:
            for unit, part in ((1, np.real), (1j, np.imag)):
                expected += unit * mass / (high - low) * quad(lambda t, z=z, p=part: p(1 / (t - z)), low, high)[0]
        assert UNIFORM.stieltjes(z) == pytest.approx(expected, rel=1e-10)
    step = 1e-5
    numeric = (UNIFORM.stieltjes(1j + step) - UNIFORM.stieltjes(1j - step)) / (2 * step)
    assert UNIFORM.stieltjes_slope(1j) == pytest.approx(complex(numeric), rel=1e-8)
    assert UNIFORM.stieltjes(1.5).imag == pytest.approx(np.pi * 0.5)


def test_a_fine_comb_of_atoms_approaches_the_uniform_population():
    comb = GeneralizedMarchenkoPastur(0.5, 1 + (np.arange(400) + 0.5) / 400, np.full(400, 1 / 400))
    law = SampleCovariance(PiecewiseUniform(((1.0, 2.0, 1.0),)), 0.5)
    np.testing.assert_allclose(law.edges, comb.edges, rtol=1e-6)
    x = np.linspace(*law.support[0], 9)[1:-1]
    np.testing.assert_allclose(law.density(x), comb.density(x), rtol=1e-5)


def test_cumulants_and_moments_are_inverse():
    moments = marchenko_pastur(0.7).moments(8)
    np.testing.assert_allclose(free_cumulants_from_moments(moments), 0.7 ** np.arange(8), rtol=1e-11)
    np.testing.assert_allclose(moments_from_free_cumulants(free_cumulants_from_moments(moments)), moments, rtol=1e-13)


def test_sampled_matrices():
    rng = np.random.default_rng(np.random.SeedSequence(21))
    n = 400
    population = UNIFORM.quantile((np.arange(n) + 0.5) / n)
    g = rng.standard_normal((n, n))
    values = np.linalg.eigvalsh(np.diag(population) + (g + g.T) * np.sqrt(0.5 / (2 * n)))
    law = PlusSemicircle(UNIFORM, 0.5)
    assert np.abs(law.cdf(values) - (np.arange(n) + 0.5) / n).max() < 5 / n


def test_bad_inputs():
    with pytest.raises(BadInput, match="nonnegative"):
        SampleCovariance(Semicircle(), 0.5)
    with pytest.raises(BadInput, match="sum to 1"):
        PiecewiseUniform(((0.0, 1.0, 0.5),))
    with pytest.raises(BadInput, match="variance = 0"):
        PlusSemicircle(Semicircle(), 0)


def test_a_root_that_is_not_reached_is_refused(monkeypatch):
    def hasty(problem, solver, start, **options):
        return solve(problem, solver, start, **{**options, "max_steps": 1, "throw": False})

    monkeypatch.setattr(subordinated, "solve", hasty)
    with pytest.raises(ToleranceNotMet, match="no root was reached at 1 points, first at z = 2"):
        PlusSemicircle(UNIFORM, 0.5).root(np.array([2.0 + 0.01j]))
