"""The law of a kernel matrix's bulks: against other laws, moments, sampled models and sampled kernel matrices."""

import math

import numpy as np
import pytest

from rmtfl.kernel.bulk import BulkLaw, bulk_law
from rmtfl.kernel.bulk_equation import BulkEquation
from rmtfl.kernel.bulk_outliers import bulk_outliers
from rmtfl.kernel.matrices import kernel_matrix
from rmtfl.kernel.mercer import mercer
from rmtfl.kernel.spectrum import SpikedKernel
from rmtfl.laws.diagonal import radius
from rmtfl.laws.generalized import GeneralizedMarchenkoPastur
from rmtfl.laws.variance_profile import VarianceProfile
from rmtfl.links import parse
from rmtfl.montecarlo import kernel as sampled
from rmtfl.statistics import TRACY_WIDOM_MEAN, TRACY_WIDOM_SD


def spiked(text, d=30, spike=15.0, inputs="sphere"):
    return SpikedKernel(parse(text), d, 1.0, spike, inputs)


def law_of(weights, rest, shares, functions, simple=None, levels=()):
    """A law on given classes; functions (G, M, K)."""
    weights, rest = np.asarray(weights, float), np.asarray(rest, float)
    simple = np.empty((0, weights.size)) if simple is None else np.asarray(simple, float)
    equation = BulkEquation(
        weights, rest, np.asarray(shares, float), np.asarray(functions, float), simple, np.ones(len(simple)), 0.0
    )
    return BulkLaw(equation, equation, tuple(levels))


def within(law, count=7):
    return np.concatenate([low + (high - low) * np.linspace(0.02, 0.98, count) for low, high in law.support])


@pytest.mark.parametrize(
    ("n", "atoms", "dimensions"),
    [(100, [1.0], [40]), (100, [1.0], [250]), (400, [1.0, 0.1], [30, 200]), (300, [2.0, 0.5, 0.02], [20, 40, 900])],
)
def test_functions_of_one_size_have_the_generalized_marchenko_pastur_law(n, atoms, dimensions):
    # Every sample of the same size, and each eigenvalue of one block: sizes cannot vary.
    weights, shift = np.array([0.2, 0.5, 0.3]), 0.003
    functions = np.sqrt(atoms)[:, None, None] * np.ones((len(atoms), 1, 3))
    shares = np.array(dimensions) / n
    total = float(shares.sum())
    levels = [level for level in np.cumsum(shares) if level < 1]
    law = law_of(weights, [shift] * 3, shares, functions, levels=levels if total < 1 else [*levels, 1.0])
    exact = GeneralizedMarchenkoPastur(total, atoms, shares / total)
    np.testing.assert_allclose(np.ravel(law.support), np.ravel(exact.support) + shift, rtol=1e-12)
    x = within(law)
    np.testing.assert_allclose(law.density(x), exact.density(x - shift) * total, rtol=1e-10)
    z = x * (1 + 0.3j)
    m = law.equation.above(z)
    np.testing.assert_allclose(m @ weights, exact.companion_stieltjes(z - shift), rtol=1e-12)
    # The distribution function, by quadrature from the top.
    for low, high in law.support:
        theta = (np.arange(600) + 0.5) * np.pi / 600
        y = (low + high) / 2 + (high - low) / 2 * np.cos(theta)
        mass = (high - low) / 2 * np.sin(theta) * np.pi / 600 @ law.density(y)
        ends = np.array([low, high]) * (1 + 1e-9j)
        below = law.equation.below(ends, law.equation.above(ends))
        assert below[1] - below[0] == pytest.approx(mass, abs=1e-4)


def test_one_function_a_block_is_a_block_variance_profile():
    rng = np.random.default_rng(3)
    weights, sizes = np.array([0.5, 0.3, 0.2]), rng.uniform(0.3, 2.0, (2, 3))
    shares = np.array([0.2, 0.5])
    law = law_of(weights, np.zeros(3), shares, np.sqrt(sizes)[:, None, :], levels=[0.2, 0.7])
    # n samples are its rows, and its columns are all dimensions together: variances are over their number.
    total = shares.sum()
    profile = VarianceProfile(1 / total, (total * sizes).T, weights, shares / total)
    np.testing.assert_allclose(np.ravel(law.support), np.ravel(profile.support), rtol=1e-9)
    x = within(law)
    np.testing.assert_allclose(law.density(x), profile.density(x), rtol=1e-9)


def moments_by_series(equation, count):
    """Σ μ_k w^{−k−1} = −E q term by term: q = −Σ h_k w^{−k−1}, G = Σ Γ_k w^{−k}."""
    functions, weights = equation.functions, equation.weights
    h = np.zeros((count + 1, weights.size))
    h[0] = 1.0
    identity = np.eye(functions.shape[1])
    gammas = [np.array([identity] * len(functions))]
    for k in range(1, count + 1):
        # −1/q = w − a: h_k = Σ a_j h_{k−1−j}, with a = rest + Σ share v^T G v; (1 − Σ E h v v^T w^{−k−1}) G = 1.
        pulls = [
            np.einsum("g,gmk,gmn,gnk->k", equation.shares, functions, gamma, functions)
            + (equation.rest if j == 0 else 0.0)
            for j, gamma in enumerate(gammas)
        ]
        h[k] = sum(pulls[j] * h[k - 1 - j] for j in range(k))
        inner = [(functions * (weights * h[j])) @ functions.swapaxes(1, 2) for j in range(k)]
        gammas.append(sum(inner[j] @ gammas[k - 1 - j] for j in range(k)))
    return h[1:] @ weights


def test_moments_of_a_kernels_law():
    population = mercer(spiked("relu(x)"), 300)
    law = bulk_law(population, 300)
    expected = moments_by_series(law.equation, 4)
    # E (K_b)_ii = Σ mult λ/n, and that of its square, by hand.
    bulk = population.degrees > 0
    first = (population.spectrum.trace - population.eigenvalues[~bulk].sum()) / 300
    assert expected[0] == pytest.approx(first, rel=2e-4)
    found = np.zeros(4)
    for low, high in law.support:
        theta = (np.arange(100) + 0.5) * np.pi / 100
        x = (low + high) / 2 + (high - low) / 2 * np.cos(theta)
        density = law.density(x) * (high - low) / 2 * np.sin(theta) * np.pi / 100
        found += [density @ x**k for k in range(1, 5)]
    np.testing.assert_allclose(found, expected, rtol=1e-3)


@pytest.mark.parametrize("rare", [False, True])
def test_the_law_against_its_own_model_with_random_signs(rare):
    # Rows φ_i = ⊕ v_l(z_i) ⊗ s_i with independent signs for the harmonics, two functions a block, z drawn.
    n, dimensions, rng = 900, (90, 500), np.random.default_rng(8)
    weights = np.array([0.45, 0.35, 0.2])
    functions = np.zeros((2, 2, 3))
    functions[0] = [[1.5, 1.0, 0.4], [0.2, -0.3, 0.5]]
    functions[1] = [[0.10, 0.3, 0.2], [0.05, 0.0, -0.1]]
    if rare:  # few samples that are large
        weights = np.array([0.44, 0.34, 0.2, 0.02])
        functions = np.concatenate([functions, [[[2.2], [0.3]], [[0.4], [0.2]]]], axis=2)
    shares = np.array(dimensions) / n
    law = law_of(weights, np.full(weights.size, 0.01), shares, functions, levels=[*_levels(shares, 2), 1.0])
    classes = np.repeat(np.arange(weights.size), np.round(weights * n).astype(int))
    gram = 0.01 * np.eye(n)
    for size, block in zip(dimensions, functions, strict=True):
        signs = rng.choice([-1.0, 1.0], (n, size))
        gram += (block[:, classes].T @ block[:, classes]) * (signs @ signs.T) / n
    values = np.linalg.eigvalsh(gram)
    (top, scale), (bottom, _) = [
        (edge.location, (n * edge.decay) ** (-2 / 3)) for edge in (law.edges[-1], law.edges[0])
    ]
    assert values[-1] == pytest.approx(top + TRACY_WIDOM_MEAN * scale, abs=4 * scale)
    assert values[0] > bottom * 0.98
    below = np.concatenate([np.linspace(bottom, top, 400)])
    z = below * (1 + 1e-6j)
    expected = law.equation.below(z, law.equation.above(z))
    found = np.searchsorted(values, below) / n
    # Eigenvalues are rigid: the distance is of order 1/n, where independent draws had 0.03.
    assert np.abs(found - expected).max() < 6 / n
    for low, high in zip(law.support[:-1], law.support[1:], strict=True):
        assert not ((values > low[1] * 1.02) & (values < high[0] * 0.98)).any()


def _levels(shares, modes):
    return sorted({float(a * shares[0] + b * shares[1]) for a in range(modes + 1) for b in range(modes + 1)})[1:-1]


@pytest.mark.parametrize(("text", "n"), [("erf(x)", 3000), ("relu(x)", 300)])
def test_edges_are_where_the_density_ends(text, n):
    population = mercer(spiked(text), n)
    law = bulk_law(population, n)
    assert len(law.edges) > 4
    for edge in law.edges:
        side = -1 if edge.upper else 1
        delta = 1e-5 * edge.location
        near = law.density(np.array([edge.location + side * delta, edge.location - side * delta]))
        assert near[1] == 0
        assert near[0] == pytest.approx(edge.decay * math.sqrt(delta) / math.pi, rel=0.05)
        # Beyond, a real solution proves that there is nothing.
        x = np.array([edge.location - side * 1e-7 * edge.location])
        m, proved = law.equation.outside(x, law.equation.above(x * (1 + 1e-4j)))
        assert proved.all()
        assert 0.9 < radius(law.equation.terms(x + 0j, m))[0] < 1
        # The coarser rule, and one that reaches further out, see the same place.
        assert edge.error < 2e-3 * edge.location
    assert max(edge.error / edge.location for edge in law.edges[1:]) < 3e-5


def test_an_edge_moves_with_the_samples_as_its_response_says():
    weights, sizes = np.array([0.5, 0.3, 0.2]), np.array([[1.0, 1.6, 0.8], [0.02, 0.01, 0.03]])
    settings = ([0.002, 0.001, 0.003], [0.2, 1.2], np.sqrt(sizes)[:, None, :])
    law = law_of(weights, *settings, levels=[0.2, 1.0])
    assert len(law.edges) == 4
    step = 1e-5
    others = [(1 - step) * weights + step * one for one in np.eye(3)]
    moved = [law_of(other, *settings, levels=[0.2, 1.0]).edges for other in others]
    for i, edge in enumerate(law.edges):
        rates = np.array([(other[i].location - edge.location) / step for other in moved])
        assert edge.response == pytest.approx(math.sqrt(weights @ rates**2), rel=1e-3)


def test_outliers_are_those_of_the_law_where_functions_are_independent():
    # One size for all samples, and a simple function of mean square one: Z(λ) and Z'(λ) of Marchenko and Pastur.
    n, dimensions, weights = 400, 100, np.array([0.5, 0.5])
    spikes = np.array([3.0, 1.8, 1.2])
    simple = np.sqrt(spikes)[:, None] * np.ones((3, 2))
    ones = np.ones((1, 1, 2))
    for k in range(2):  # the third is below the threshold 1 + √(1/4)
        law = law_of(weights, np.zeros(2), [dimensions / n], ones, simple[[k, 2]][:1], levels=[dimensions / n])
        (found,) = bulk_outliers(law)
        exact = GeneralizedMarchenkoPastur(dimensions / n, [1.0], [1.0]).outlier(spikes[k])
        slope = 1 - dimensions / n / (spikes[k] - 1) ** 2
        assert found.location == pytest.approx(exact.location, rel=1e-11)
        assert found.overlap == pytest.approx(slope, rel=1e-8)
    law = law_of(weights, np.zeros(2), [dimensions / n], ones, simple[2:], levels=[dimensions / n])
    assert not bulk_outliers(law)
    # Of one that has a part in each class both appear, as 1 + E q v v^T has two such eigenvalues.
    apart = np.array([[2.0, 0.0], [0.0, 2.5]])
    law = law_of(weights, np.zeros(2), [dimensions / n], ones, apart, levels=[dimensions / n])
    assert [outlier.mode for outlier in bulk_outliers(law)] == [1, 0]


@pytest.mark.parametrize("text", ["erf(x)", "tanh(x)"])
def test_all_bulks_of_sampled_matrices_end_where_predicted(text):
    it, n, draws = spiked(text), 600, 5
    matrix = kernel_matrix(it, n)
    rng = np.random.default_rng(np.random.SeedSequence([5, n]))
    values = []
    for _ in range(draws):
        x = sampled.inputs("sphere", n, 30, rng)
        values.append(np.linalg.eigvalsh(sampled.kernel(it.activation, x, x, 1.0, 15.0) / n)[::-1])
    values = np.array(values)
    judged = [edge for edge in matrix.edges if edge.rank is not None and edge.rank < n - 1]
    assert len(judged) >= 3 and not judged[2].rank < 30
    for edge in judged:
        sample = values[:, edge.rank]
        expected = edge.location + (1 if edge.upper else -1) * TRACY_WIDOM_MEAN * edge.scale
        error = edge.spread / math.sqrt(draws)
        assert sample.mean() == pytest.approx(expected, abs=TRACY_WIDOM_SD * edge.scale + 3 * error)
    # All eigenvalues together: within a few of n of the law, where functions of one size would be 0.03 away.
    z = np.geomspace(1e-5, 0.05, 200)
    at = z * (1 + 1e-6j)
    expected = matrix.law.equation.below(at, matrix.law.equation.above(at))
    found = np.mean([np.searchsorted(row[::-1], z) for row in values], axis=0) / n
    assert np.abs(found - expected).max() < 0.012
