"""Marchenko-Pastur and the semicircle against quadrature, moments and each other's definitions."""

from fractions import Fraction

import numpy as np
import pytest
from scipy.integrate import quad

from rmtfl.errors import BadInput
from rmtfl.laws.generalized import GeneralizedMarchenkoPastur
from rmtfl.laws.marchenko_pastur import companion_marchenko_pastur, marchenko_pastur
from rmtfl.laws.semicircle import Semicircle
from rmtfl.laws.views import SingularValues

LAWS = [
    marchenko_pastur(0.3),
    marchenko_pastur(0.3, 2.5),
    marchenko_pastur(4.0, 0.7),
    companion_marchenko_pastur(0.3, 2.5),
    companion_marchenko_pastur(4.0),
    marchenko_pastur(1.0),
    Semicircle(2.0, 0.5),
]


def integral(law, f, upto=1.0):
    """∫ f dmu over the first part of the support, with the edges' square roots taken out."""
    ((low, high),) = law.support
    x = lambda t: low + (high - low) * np.sin(t / 2) ** 2  # noqa: E731
    jacobian = lambda t: (high - low) * np.sin(t) / 2  # noqa: E731
    end = 2 * np.arcsin(np.sqrt(upto))
    return quad(lambda t: f(x(t)) * law.density(x(t)) * jacobian(t), 1e-12, end, epsabs=1e-13, epsrel=1e-12)[0]


@pytest.mark.parametrize("law", LAWS, ids=repr)
class TestAgainstQuadrature:
    def test_mass_and_cdf(self, law):
        null = sum(mass for _, mass in law.atoms)
        assert integral(law, lambda x: 1.0) + null == pytest.approx(1, abs=1e-11)
        ((low, high),) = law.support
        below_low = law.cdf(low - 1e-9) if law.atoms or low > 0 else 0.0
        for part in (0.01, 0.2, 0.7):
            inside = integral(law, lambda x: 1.0, part)
            assert law.cdf(low + part * (high - low)) - below_low == pytest.approx(inside, abs=1e-11)
        assert law.cdf(high + 1) == pytest.approx(1, abs=1e-15)
        assert law.cdf(-10.0) == 0

    def test_moments(self, law):
        expected = [integral(law, lambda x, k=k: x**k) for k in range(1, 5)]
        np.testing.assert_allclose(law.moments(4), expected, rtol=1e-10)

    def test_stieltjes_and_its_slope(self, law):
        z = 0.7 + 0.4j
        null = sum(mass / (place - z) for place, mass in law.atoms)
        real, imag = (integral(law, lambda x, p=p: p(1 / (x - z))) for p in (np.real, np.imag))
        assert law.stieltjes(z) == pytest.approx(real + 1j * imag + null, rel=1e-10)
        step = 1e-5
        slope = (law.stieltjes(z + step) - law.stieltjes(z - step)) / (2 * step)
        assert law.stieltjes_slope(z) == pytest.approx(slope, rel=1e-8)

    def test_boundary_value_is_the_density(self, law):
        ((low, high),) = law.support
        x = np.linspace(low, high, 13)[1:-1]
        np.testing.assert_allclose(law.stieltjes(x).imag / np.pi, law.density(x), rtol=1e-13)

    def test_quantile_inverts_cdf(self, law):
        null = sum(mass for _, mass in law.atoms)
        q = null + (1 - null) * np.array([0.001, 0.3, 0.5, 0.99])
        np.testing.assert_allclose(law.cdf(law.quantile(q)), q, atol=2e-15)
        if null:
            assert law.quantile(0.5 * null) == 0


def test_the_two_gram_matrices_share_their_nonzero_eigenvalues():
    p_side, n_side = marchenko_pastur(0.4, 1.3), companion_marchenko_pastur(0.4, 1.3)
    z = np.array([0.1 + 0.2j, 3 + 1e-3j, 20.0])
    np.testing.assert_allclose(n_side.stieltjes(z), 0.4 * p_side.stieltjes(z) - 0.6 / z, rtol=1e-13)


def test_far_and_near_zero_nothing_cancels():
    law = companion_marchenko_pastur(0.5)
    # m z -> -(1 - γ) at 0; -1/z at infinity.
    np.testing.assert_allclose(law.stieltjes(1e-14) * 1e-14, -0.5, rtol=1e-12)
    np.testing.assert_allclose(marchenko_pastur(0.5).stieltjes(1e9) * 1e9, -1 - 1e-9, rtol=1e-15)


@pytest.mark.parametrize("psi", [0.5, 1.0, 3.0])
def test_rectangular_outliers_match_the_closed_form(psi):
    # Entries of variance 1/d, N x d: N x N Gram matrix W W^T with N/d = psi.
    values = SingularValues(marchenko_pastur(psi), psi)
    np.testing.assert_allclose(values.edges, [abs(1 - psi**0.5), 1 + psi**0.5], rtol=1e-14, atol=1e-15)
    for theta in (psi**0.25 * 1.05, 2.0, 9.0):
        square = theta**2
        found = values.outlier(theta)
        assert found.location == pytest.approx(
            np.sqrt((1 + square) * (psi + square)) / theta, rel=max(found.error, 1e-14)
        )
        assert found.overlap == pytest.approx(1 - psi * (1 + square) / (square * (square + psi)), rel=1e-10)
        assert found.right_overlap == pytest.approx(1 - (psi + square) / (square * (square + 1)), rel=1e-10)
    assert values.outlier(psi**0.25 * 0.99).location is None


def test_outliers_of_white_populations():
    # 3 (1 + (1/4)/2) and its overlap; on a scale of its own; and below the bulk, where the general law has the same.
    found, scaled = marchenko_pastur(0.25).outlier(3.0), marchenko_pastur(0.25, 2.0).outlier(6.0)
    assert (found.location, found.overlap) == pytest.approx((3.375, 5 / 6), rel=1e-15)
    assert (scaled.location, scaled.overlap) == pytest.approx((6.75, 5 / 6), rel=1e-15)
    low, other = marchenko_pastur(0.25).outlier(0.2), GeneralizedMarchenkoPastur(0.25, [1.0], [1.0]).outlier(0.2)
    assert (low.location, low.overlap) == pytest.approx((other.location, other.overlap), rel=1e-13)
    assert marchenko_pastur(0.25).outlier(1.4).location is None


def test_outliers_next_to_their_threshold_are_as_exact_as_stated():
    # √v in doubles is above the true root, or below it.
    for variance, above in ((1.277553757769694, True), (0.14522, False), (2.0, True), (3.0, False)):
        law, spike = Semicircle(variance), float(np.sqrt(variance))
        assert (Fraction(spike) ** 2 > Fraction(variance)) == above
        for near in (spike, np.nextafter(spike, 9), 1.0001 * spike):
            found, (digits,) = law.outlier(near), law.with_digits(30, spikes=[near])[2]
            assert (found.location is None) == (digits is None)
            if digits is not None:
                assert abs(Fraction(found.location) / Fraction(digits[0]) - 1) <= found.error * (1 + 1e-9)
                assert abs(Fraction(found.overlap) / Fraction(digits[1]) - 1) <= found.error * (1 + 1e-9)
    found, near = marchenko_pastur(0.25).outlier(1.5 + 2**-50), Fraction(1, 2) + Fraction(2) ** -50
    exact = (1 - Fraction(1, 4) / near**2) / (1 + Fraction(1, 4) / near)
    assert 0 < abs(Fraction(found.overlap) / exact - 1) <= found.error or Fraction(found.overlap) == exact
    with pytest.raises(BadInput, match="spike = inf"):
        Semicircle().outlier(float("inf"))


def test_singular_values_are_the_square_roots():
    rng = np.random.default_rng(np.random.SeedSequence(7))
    sampled = np.linalg.svd(rng.standard_normal((300, 100)) / 10, compute_uv=False)
    values = SingularValues(marchenko_pastur(3.0), 3.0)
    assert values.atoms == ()
    # The largest distance of distribution functions of a rigid spectrum is a few spacings.
    grid = np.sort(sampled)
    assert np.abs(values.cdf(grid) - (np.arange(100) + 0.5) / 100).max() < 4 / 100
    np.testing.assert_allclose(values.cdf(values.quantile([0.1, 0.6])), [0.1, 0.6], atol=1e-14)


def test_wigner_and_its_outlier():
    rng = np.random.default_rng(np.random.SeedSequence(8))
    n, trials = 400, 8
    tops, squares = [], []
    for _ in range(trials):
        g = rng.standard_normal((n, n))
        matrix = (g + g.T) / np.sqrt(2 * n)
        matrix[0, 0] += 2.0
        values, vectors = np.linalg.eigh(matrix)
        tops.append(values[-1])
        squares.append(vectors[0, -1] ** 2)
    outlier = Semicircle().outlier(2.0)
    for sample, value in ((tops, outlier.location), (squares, outlier.overlap)):
        # 4 standard errors, plus the O(1/n) bias of the limit.
        assert abs(np.mean(sample) - value) < 4 * np.std(sample, ddof=1) / np.sqrt(trials) + 2 / n
    # a + √v Z + ℓ = a + √v (Z + ℓ/√v)
    moved = Semicircle(4.0, 7.0).outlier(4.0)
    assert moved.location == pytest.approx(7 + 2 * outlier.location, rel=1e-15)
    assert moved.overlap == pytest.approx(outlier.overlap, rel=1e-15)


def test_bad_parameters_are_named():
    with pytest.raises(BadInput, match="ratio = -1"):
        marchenko_pastur(-1)
    with pytest.raises(BadInput, match="variance = 0"):
        Semicircle(0)
    with pytest.raises(BadInput, match="half-plane"):
        marchenko_pastur(1).stieltjes(1 - 1j)
    with pytest.raises(BadInput, match="strictly between"):
        Semicircle().quantile(1.0)
