"""Block variance profiles: Marchenko-Pastur laws, folds in many digits, free moments, mixtures, sampled matrices."""

import mpmath
import numpy as np
import pytest

from rmtfl.errors import BadInput
from rmtfl.laws.generalized import GeneralizedMarchenkoPastur
from rmtfl.laws.marchenko_pastur import marchenko_pastur
from rmtfl.laws.variance_profile import VarianceProfile
from rmtfl.laws.views import Companion

TWO_BY_TWO = ([[1.0, 0.2], [0.5, 30.0]], [0.7, 0.3], [0.25, 0.75])


def approach(law, steps=8):
    """Points inside that near every edge."""
    t = 10.0 ** -np.arange(1, steps)
    return np.concatenate(
        [np.concatenate([low + (high - low) * t, high - (high - low) * t]) for low, high in law.support]
    )


def agree(profile, law):
    np.testing.assert_allclose(profile.edges, law.edges, rtol=profile.edges_error)
    assert profile.edges_error < 1e-8
    x = approach(law)
    found, exact = profile.evaluate(x), law.density(x)
    assert (np.abs(found.value / exact - 1) <= found.error).all()
    assert (found.error < 1e-4).all()
    np.testing.assert_allclose(profile.atoms, law.atoms, rtol=1e-12)
    gaps = [0.5 * (left + right) for left, right in zip(law.edges[1:-1:2], law.edges[2::2], strict=True)]
    x = np.concatenate([[-1.0, 0.0, 1e-30, 2 * law.edges[-1], *gaps], x])
    np.testing.assert_allclose(profile.cdf(x), law.cdf(x), atol=1e-14)
    z = np.array([-1.0, *gaps, 0.4 + 0.3j, 3 + 0.001j, 1.2 * law.edges[-1], 1j * law.edges[-1]])
    np.testing.assert_allclose(profile.stieltjes(z), law.stieltjes(z), rtol=1e-12)
    np.testing.assert_allclose(profile.stieltjes_slope(z), law.stieltjes_slope(z), rtol=1e-11)
    np.testing.assert_allclose(profile.moments(6), law.moments(6), rtol=1e-13)
    null = sum(mass for _, mass in law.atoms)
    level = null + (1 - null) * np.array([0.2, 0.45, 0.9])
    np.testing.assert_allclose(profile.quantile(level), law.quantile(level), rtol=1e-10)


@pytest.mark.parametrize("ratio", [0.3, 1.0, 2.5, 1 + 1e-6])
def test_a_constant_profile_is_marchenko_pastur(ratio):
    agree(VarianceProfile(ratio, [[2.0] * 3] * 2, [0.1, 0.9]), marchenko_pastur(ratio, 2.0))


@pytest.mark.parametrize("ratio", [0.3, 0.02, 1.6])
@pytest.mark.parametrize("atoms", [[1.0, 9.0], [1.0, 1.5, 40.0, 1e4]])
def test_rows_alone_are_a_population(ratio, atoms):
    weights = np.arange(1.0, len(atoms) + 1) / (len(atoms) * (len(atoms) + 1) / 2)
    law = GeneralizedMarchenkoPastur(ratio, atoms, weights)
    profile = VarianceProfile(ratio, np.array(atoms)[:, None], weights)
    assert len(profile.support) == len(law.support)
    agree(profile, law)


@pytest.mark.parametrize("ratio", [0.5, 4.0])
def test_columns_alone_are_the_transpose(ratio):
    profile = VarianceProfile(ratio, [[1.0, 30.0]], columns=[0.6, 0.4])
    other = GeneralizedMarchenkoPastur(1 / ratio, [1.0, 30.0], [0.6, 0.4])
    np.testing.assert_allclose(profile.edges, np.array(other.edges) * ratio, rtol=profile.edges_error)
    x = approach(profile, 5)
    np.testing.assert_allclose(profile.density(x), Companion(other, 1 / ratio).density(x / ratio) / ratio, rtol=1e-10)


@pytest.mark.parametrize("width", [1e-2, 1e-4, 1e-6])
def test_narrow_gaps_are_found(width):
    """Of two atoms, the ratio being such that they are just this far apart."""

    def gap(ratio):
        edges = GeneralizedMarchenkoPastur(ratio, [1.0, 4.0], [0.5, 0.5]).edges
        return edges[2] - edges[1] if len(edges) == 4 else 0.0

    low, high = 0.1, 0.9
    for _ in range(60):
        ratio = 0.5 * (low + high)
        low, high = (ratio, high) if gap(ratio) > width else (low, ratio)
    assert gap(low) == pytest.approx(width, rel=1e-2)
    law = GeneralizedMarchenkoPastur(low, [1.0, 4.0], [0.5, 0.5])
    profile = VarianceProfile(low, [[1.0], [4.0]])
    np.testing.assert_allclose(profile.edges, law.edges, rtol=profile.edges_error)


def test_edges_are_folds_in_many_digits():
    """Of the full system in both resolvents, with the determinant of its Jacobian, to 40 digits."""
    ratio, (variances, rows, columns) = 0.5, TWO_BY_TWO
    law = VarianceProfile(ratio, *TWO_BY_TWO)
    assert len(law.edges) == 4
    with mpmath.workdps(40):
        s, a, b = mpmath.matrix(variances), [mpmath.mpf(v) for v in rows], [mpmath.mpf(v) for v in columns]

        def system(m, n, x):
            down = [1 + x * m[i] * (1 + sum(b[j] * s[i, j] * n[j] for j in range(2))) for i in range(2)]
            return down + [1 + x * n[j] * (1 + ratio * sum(a[i] * s[i, j] * m[i] for i in range(2))) for j in range(2)]

        def fold(m1, m2, n1, n2, x):
            m, n = (m1, m2), (n1, n2)
            jacobian = mpmath.matrix(4, 4)
            for i in range(2):
                jacobian[i, i] = x * (1 + sum(b[j] * s[i, j] * n[j] for j in range(2)))
                jacobian[2 + i, 2 + i] = x * (1 + ratio * sum(a[k] * s[k, i] * m[k] for k in range(2)))
                for j in range(2):
                    jacobian[i, 2 + j] = x * m[i] * b[j] * s[i, j]
                    jacobian[2 + j, i] = x * n[j] * ratio * a[i] * s[i, j]
            return [*system(m, n, x), mpmath.det(jacobian)]

        for k, edge in enumerate(law.edges):
            near = edge * (1 + 1e-10 * (-1) ** (k + 1))
            m = law.resolvents(near)[0].real
            n = -1 / (near * (1 + ratio * np.array(variances).T @ (rows * m)))
            exact = mpmath.findroot(fold, [*map(mpmath.mpf, (*m, *n, edge))], maxsteps=40)[4]
            assert abs(edge / exact - 1) <= law.edges_error


@pytest.mark.parametrize("ratio", [0.5, 3.0])
def test_densities_have_the_moments(ratio):
    law = VarianceProfile(ratio, *TWO_BY_TWO)
    nodes, weights = np.polynomial.legendre.leggauss(1200)
    angle = 0.5 * np.pi * (nodes + 1)
    total = np.zeros(5)
    total[0] = sum(mass for _, mass in law.atoms)
    for low, high in law.support:
        x = low + (high - low) * np.sin(angle / 2) ** 2
        mass = 0.25 * np.pi * weights * law.density(x) * (high - low) * np.sin(angle)
        # The distribution function in closed form, against the same quadrature.
        assert law.cdf(high) - law.cdf(low) == pytest.approx(mass.sum(), abs=1e-12)
        total += [np.sum(mass * x**k) for k in range(5)]
    np.testing.assert_allclose(total, [1.0, *law.moments(4)], rtol=1e-12)


def test_classes_that_share_nothing_are_a_mixture():
    """Half of the rows meets half of the columns: p/n stays 1/2, the variance halves."""
    law = VarianceProfile(0.5, [[2.0, 0.0], [0.0, 60.0]])
    one, two = marchenko_pastur(0.5, 1.0), marchenko_pastur(0.5, 30.0)
    # The bulks overlap not at all: [0.09, 2.9] and [2.6, 87] would, so the larger begins within the smaller.
    np.testing.assert_allclose(law.edges, [one.edges[0], two.edges[1]], rtol=1e-12)
    x = np.array([0.2, 1.0, 2.8, 10.0, 80.0])
    np.testing.assert_allclose(law.density(x), 0.5 * (one.density(x) + two.density(x)), rtol=1e-9)
    np.testing.assert_allclose(law.cdf(x), 0.5 * (one.cdf(x) + two.cdf(x)), rtol=1e-12)


def test_vanishing_variances_leave_a_point_mass():
    """What the rank of a sampled matrix says."""
    rng = np.random.default_rng(5)
    for variances, ratio in (([[1.0, 0.0], [2.0, 0.0]], 1.0), ([[1.0, 1.0], [0.0, 0.0]], 0.5), ([[1, 0], [1, 3]], 1.5)):
        law, p = VarianceProfile(ratio, variances), 60
        n = round(p / ratio)
        spread = np.repeat(np.repeat(np.array(variances, float), p // 2, axis=0), n // 2, axis=1)
        rank = np.linalg.matrix_rank(spread * rng.standard_normal((p, n)))
        assert sum(mass for _, mass in law.atoms) == pytest.approx(1 - rank / p)
        assert law.cdf(law.edges[-1]) == pytest.approx(1.0, abs=1e-13)


def test_sampled_matrices():
    rng = np.random.default_rng(np.random.SeedSequence(41))
    p, n = 200, 400
    variances = np.array([[1.0, 0.2], [0.5, 3.0]])
    profile = VarianceProfile(p / n, variances, [0.5, 0.5], [0.25, 0.75])
    scale = np.sqrt(variances[np.repeat([0, 1], [100, 100])][:, np.repeat([0, 1], [100, 300])] / n)
    z = np.array([0.5 + 0.3j, 2 + 0.3j])
    traces = []
    for _ in range(20):
        values = np.linalg.eigvalsh((m := scale * rng.standard_normal((p, n))) @ m.T)
        traces.append((1 / (values[:, None] - z)).mean(0))
    traces = np.array(traces)
    error = (traces.real.std(0, ddof=1) + traces.imag.std(0, ddof=1)) / np.sqrt(20)
    assert (np.abs(traces.mean(0) - profile.stieltjes(z)) < 4 * error + 2 / p).all()


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ((0.3, [[1.0]], [0.5, 0.5]), "rows = .0.5, 0.5.: as many shares are needed as variances have rows, 1"),
        ((0.3, [[1.0], [1.0]], [0.5, 0.4]), "rows = .*sum to 1"),
        ((0.3, [[1.0, 2.0]], None, [1.5, -0.5]), "columns = .*positive shares"),
        ((0.3, [[1.0, 2.0], [1.0]]), "variances = .*rows of equal length"),
        ((0.3, [[0.0]]), "variances = .*not all 0"),
        ((0.3, [[1.0, -1.0]]), "variances = .*none negative"),
        ((0.3, np.arange(49.0).reshape(7, 7)), r"variances of shape \(7, 7\): at most 12 classes"),
        ((-1.0, [[1.0]]), "ratio = -1.0: a positive number"),
    ],
)
def test_bad_profiles(inputs, message):
    with pytest.raises(BadInput, match=message):
        VarianceProfile(*inputs)


def test_bad_points():
    law = VarianceProfile(1.0, [[1.0]])
    with pytest.raises(BadInput, match="infinite at 0"):
        law.density(0.0)
    with pytest.raises(BadInput, match="other than 0"):
        law.stieltjes(0.0)
    with pytest.raises(BadInput, match="finite"):
        law.cdf(np.nan)
