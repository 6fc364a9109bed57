"""Free sums and products of two laws: closed forms, the one-map convolutions, moments and sampled matrices."""

import numpy as np
import pytest

from rmtfl.errors import BadInput, ToleranceNotMet
from rmtfl.laws.free import FreeProduct, FreeSum
from rmtfl.laws.generalized import GeneralizedMarchenkoPastur
from rmtfl.laws.marchenko_pastur import marchenko_pastur
from rmtfl.laws.semicircle import Semicircle
from rmtfl.laws.subordinated import PlusSemicircle, SampleCovariance
from rmtfl.laws.uniform import PiecewiseUniform

UNIFORM = PiecewiseUniform(((1.0, 2.0, 0.5), (10.0, 12.0, 0.5)))


def inside(law, count=40):
    pieces = [np.linspace(low, high, count + 4)[2:-2] for low, high in law.support]
    return np.concatenate(pieces)


def integral(law, f):
    total = 0.0
    nodes, weights = np.polynomial.legendre.leggauss(300)
    for low, high in law.support:
        angle = 0.5 * np.pi * (nodes + 1)
        x = low + (high - low) * np.sin(angle / 2) ** 2
        total += 0.5 * np.pi * np.sum(weights * f(x) * law.density(x) * (high - low) * np.sin(angle) / 2)
    return total


def agree(law, closed, *, edges=1e-12, density=1e-12):
    np.testing.assert_allclose(law.edges, closed.edges, rtol=edges, atol=edges * law.scale)
    x = inside(closed)
    found = law.evaluate(x)
    exact = closed.density(x)
    np.testing.assert_allclose(found.value, exact, rtol=density)
    assert (np.abs(found.value / exact - 1) <= found.error + 1e-14).all()
    reach = closed.edges[-1] - closed.edges[0]
    z = closed.edges[-1] + reach * np.array([0.01, 1.0, 10.0, 0.2j - 0.7, 3j])
    np.testing.assert_allclose(law.stieltjes(z), closed.stieltjes(z), rtol=1e-12)
    np.testing.assert_allclose(law.stieltjes_slope(z), closed.stieltjes_slope(z), rtol=1e-10)
    np.testing.assert_allclose(law.moments(6), closed.moments(6), rtol=1e-12)
    np.testing.assert_allclose(law.atoms, closed.atoms, rtol=1e-14)


def test_semicircle_plus_semicircle():
    law, closed = FreeSum(Semicircle(1.0, 0.5), Semicircle(2.0, -2.0)), Semicircle(3.0, -1.5)
    agree(law, closed)
    x = inside(closed, 9)
    np.testing.assert_allclose(law.cdf(x), closed.cdf(x), atol=1e-12)
    np.testing.assert_allclose(law.quantile(closed.cdf(x)), x, atol=1e-10)


def test_poisson_plus_poisson():
    # Free Poisson laws of rates 2 and 3: their sum has rate 5. Rate λ: λ times Marchenko-Pastur of ratio 1/λ.
    law = FreeSum(marchenko_pastur(1 / 2, 2.0), marchenko_pastur(1 / 3, 3.0))
    agree(law, marchenko_pastur(1 / 5, 5.0))


@pytest.mark.parametrize("ratios", [(0.3, 0.5), (1.0, 0.5), (0.5, 2.0), (2.0, 3.0)])
def test_marchenko_pastur_times_marchenko_pastur(ratios):
    inner, outer = ratios
    agree(
        FreeProduct(marchenko_pastur(inner), marchenko_pastur(outer)), SampleCovariance(marchenko_pastur(inner), outer)
    )


def test_fuss_catalan():
    # γ = 1 twice: with x = sin³(3φ)/(sin φ sin²(2φ)) the density is in closed form.
    law = FreeProduct(marchenko_pastur(1.0), marchenko_pastur(1.0))
    assert law.support[0] == (0.0, pytest.approx(27 / 4, rel=1e-14))
    np.testing.assert_allclose(law.moments(5), [1, 3, 12, 55, 273], rtol=1e-13)
    phi = np.linspace(0.05, 1.0, 30)
    x = np.sin(3 * phi) ** 3 / (np.sin(phi) * np.sin(2 * phi) ** 2)
    density = np.sin(phi) ** 2 * np.sin(2 * phi) / np.sin(3 * phi) ** 2 / np.pi
    np.testing.assert_allclose(law.density(x), density, rtol=1e-12)


@pytest.mark.parametrize("variance", [0.5, 60.0])
def test_two_bulks_plus_a_semicircle(variance):
    law, closed = FreeSum(UNIFORM, Semicircle(variance)), PlusSemicircle(UNIFORM, variance)
    assert len(law.support) == len(closed.support) == (2 if variance == 0.5 else 1)
    agree(law, closed, edges=1e-11, density=1e-10)


@pytest.mark.parametrize("ratio", [0.05, 0.8])
def test_two_bulks_times_marchenko_pastur(ratio):
    law, closed = FreeProduct(UNIFORM, marchenko_pastur(ratio)), SampleCovariance(UNIFORM, ratio)
    assert len(law.support) == len(closed.support) == (2 if ratio == 0.05 else 1)
    agree(law, closed, edges=1e-11, density=1e-10)


@pytest.mark.parametrize(
    "first",
    [
        GeneralizedMarchenkoPastur(0.16, [0.22, 1.67, 9.5], [0.2, 0.3, 0.5]),
        GeneralizedMarchenkoPastur(0.4, [0.36, 2.7], [0.7, 0.3]),
        GeneralizedMarchenkoPastur(1.7, [1.2], [1.0]),
    ],
)
def test_bulks_with_square_root_edges(first):
    """Whose gaps end where transforms have infinite slope, at places that doubles only round."""
    for law, closed in (
        (FreeSum(first, Semicircle(0.07)), PlusSemicircle(first, 0.07)),
        (FreeProduct(first, marchenko_pastur(0.28)), SampleCovariance(first, 0.28)),
    ):
        assert len(law.edges) == len(closed.edges)
        np.testing.assert_allclose(law.edges, closed.edges, rtol=1e-12)
        assert law.cdf(law.edges[-1]) == pytest.approx(1.0, abs=1e-6)


def test_two_bulks_plus_two_bulks():
    """Three bulks, of masses 1/4, 1/2, 1/4: no closed form, but free moments and symmetry."""
    one = PiecewiseUniform(((-10.5, -9.5, 0.5), (9.5, 10.5, 0.5)))
    law = FreeSum(one, PiecewiseUniform(((-2.1, -1.9, 0.5), (1.9, 2.1, 0.5))))
    assert integral(law, np.ones_like) == pytest.approx(1, abs=1e-11)
    for k, moment in enumerate(law.moments(6), 1):
        assert integral(law, lambda x, k=k: x**k) == pytest.approx(moment, rel=1e-11, abs=1e-9 * 10**k)
    x = inside(law, 11)
    np.testing.assert_allclose(law.density(x), law.density(-x), rtol=1e-9)


@pytest.mark.parametrize(
    "law",
    [
        FreeSum(marchenko_pastur(0.3), UNIFORM),
        FreeProduct(marchenko_pastur(0.3), PiecewiseUniform(((1.0, 3.0, 1.0),))),
        FreeProduct(marchenko_pastur(2.0), PiecewiseUniform(((1.0, 3.0, 1.0),))),
    ],
    ids=["sum", "product", "null"],
)
def test_densities_have_the_free_moments(law):
    assert integral(law, np.ones_like) + sum(mass for _, mass in law.atoms) == pytest.approx(1, abs=1e-12)
    for k, moment in enumerate(law.moments(5), 1):
        assert integral(law, lambda x, k=k: x**k) == pytest.approx(moment, rel=1e-12)


def test_sampled_matrices_have_the_law():
    """Eigenvalues of U diag(a) U^T + diag(b), a and b at the laws' quantiles: rigid, so counts are off by few."""
    rng = np.random.default_rng(3)
    p, trials = 200, 10
    levels = (np.arange(p) + 0.5) / p
    law = FreeSum(UNIFORM, marchenko_pastur(0.5))
    a, b = (one.quantile(levels) for one in (law.first, law.second))
    x = np.array([3.0, 8.0, 12.0])
    counts = []
    for _ in range(trials):
        q, r = np.linalg.qr(rng.standard_normal((p, p)))
        q = q * np.sign(np.diag(r))
        counts.append((np.linalg.eigvalsh(q * a @ q.T + np.diag(b)) <= x[:, None]).mean(axis=1))
    error = np.std(counts, axis=0, ddof=1) / np.sqrt(trials)
    assert (np.abs(np.mean(counts, axis=0) - law.cdf(x)) < 4 * error + 1 / p).all()


def test_spikes_of_a_summand():
    """Of a semicircle plus a semicircle of variance v: θ goes to θ - v m₁(θ), with overlap 1 - v m₁'(θ)."""
    first, variance = Semicircle(1.0, 0.5), 2.0
    law = FreeSum(first, Semicircle(variance))
    for spike in (2.95, 3.0, 8.0, -2.0, -40.0):
        (found,) = law.outliers(spike)
        location = spike - variance * first.stieltjes(spike).real
        overlap = 1 - variance * first.stieltjes_slope(spike).real
        assert abs(found.location / location - 1) <= found.error < 1e-11
        assert abs(found.overlap / overlap - 1) <= found.error
    # 1 < v m₁'(θ), or within the limit of the first spectrum.
    assert [law.outliers(spike) for spike in (2.6, 2.7, 0.5, -1.8)] == [()] * 4


def test_spikes_of_a_factor():
    """Times Marchenko-Pastur: the outliers of a sample covariance, of population θ."""
    ratio, first = 0.3, GeneralizedMarchenkoPastur(0.05, [1.0, 9.0], [0.5, 0.5])
    law, map_ = FreeProduct(first, marchenko_pastur(ratio)), SampleCovariance(first, ratio)
    seen = []
    for spike in (0.2, 0.5, 3.0, 5.0, 1.0001 * first.edges[-1], 16.0, 100.0):
        (location,), (slope,) = map_.forward(np.array([spike + 0j]))
        found = law.outliers(spike)
        seen.append(len(found))
        assert bool(found) == (slope.real > 0)
        for outlier in found:
            assert abs(outlier.location / location.real - 1) <= outlier.error < 1e-9
            assert abs(outlier.overlap / (spike * slope.real / location.real) - 1) <= outlier.error
    assert set(seen) == {0, 1}


def test_a_spike_may_have_two_outliers():
    """In each gap its own, as sampled matrices say; A is a small semicircle with one more eigenvalue."""
    rng = np.random.default_rng(8)
    p, trials, spike = 200, 12, 20.0
    first, second = Semicircle(0.25), PiecewiseUniform(((-10.5, -9.5, 0.5), (9.5, 10.5, 0.5)))
    found = FreeSum(first, second).outliers(spike)
    assert len(found) == 2 and abs(found[1].location) < 9 < 11 < found[0].location
    levels = (np.arange(p) + 0.5) / p
    b, a = second.quantile(levels), np.append(first.quantile((np.arange(p - 1) + 0.5) / (p - 1)), spike)
    seen = []
    for _ in range(trials):
        q, r = np.linalg.qr(rng.standard_normal((p, p)))
        q = q * np.sign(np.diag(r))
        values, vectors = np.linalg.eigh(q * b @ q.T + np.diag(a))
        best = [np.argmin(np.abs(values - outlier.location)) for outlier in found]
        seen.append([*values[best], *(vectors[-1, best] ** 2)])
    error = np.std(seen, axis=0, ddof=1) / np.sqrt(trials)
    expected = np.array([*(o.location for o in found), *(o.overlap for o in found)])
    assert (np.abs(np.mean(seen, axis=0) - expected) <= 4 * error + np.array([20, 20, 1, 1]) / p).all()


def test_atoms_that_survive():
    heavy = PiecewiseUniform(((1.0, 2.0, 0.3),), ((0.5, 0.7),))
    light = PiecewiseUniform(((1.0, 2.0, 0.4),), ((3.0, 0.6),))
    for law, place in ((FreeSum(heavy, light), 3.5), (FreeProduct(heavy, light), 1.5)):
        ((found, mass),) = law.atoms
        assert (found, mass) == (place, pytest.approx(0.3))
        assert integral(law, np.ones_like) == pytest.approx(0.7, abs=1e-10)
        for k, moment in enumerate(law.moments(3), 1):
            assert integral(law, lambda x, k=k: x**k) + mass * place**k == pytest.approx(moment, rel=1e-10)


def test_what_is_refused(monkeypatch):
    with pytest.raises(BadInput, match="below 0"):
        FreeProduct(marchenko_pastur(0.5), Semicircle())
    law = FreeSum(Semicircle(), marchenko_pastur(0.5))
    with pytest.raises(BadInput, match="finite"):
        law.density([np.nan])
    # An equation without a root is not answered.
    monkeypatch.setattr(law, "_equation", lambda s, z: (np.ones_like(s), np.ones_like(s), s))
    with pytest.raises(ToleranceNotMet, match="no fixed point was reached at 1 points"):
        law.density([1.0])
