"""Joint moments of eigenfunctions, and what a finite sample makes of eigenvalues, eigenvectors and edges."""

import math

import numpy as np
import pytest

from rmtfl.kernel.fluctuations import Fluctuations
from rmtfl.kernel.matrices import kernel_matrix
from rmtfl.kernel.mercer import mercer
from rmtfl.kernel.spectrum import SpikedKernel
from rmtfl.links import parse
from rmtfl.montecarlo import kernel as sampled
from rmtfl.statistics import TRACY_WIDOM_MEAN, TRACY_WIDOM_SD

TRIALS = 40


def spiked(text, d=30, spike=15.0, inputs="sphere"):
    return SpikedKernel(parse(text), d, 1.0, spike, inputs)


@pytest.mark.parametrize("d", [5, 30, 1000])
def test_moments_of_linear_functions(d):
    population = mercer(spiked("x", d), 50)
    moments = Fluctuations(population).joint(0)
    closed = {0: 3 * d / (d + 2), 1: d / (d + 2)}  # E z⁴ and E z² x² on the sphere
    assert population.simple[0] == 0
    for value, degree in zip(moments, population.degrees, strict=True):
        assert value == pytest.approx(closed[int(degree)], rel=1e-10)
    # With Gaussian inputs the radius enters, though the eigenfunctions' grid leaves it out: E z⁴ = 3, E z² x² = 1.
    gaussian = Fluctuations(mercer(spiked("x", d, inputs="gaussian"), 50)).joint(0)
    np.testing.assert_allclose(gaussian, [3, 1], rtol=1e-9)


@pytest.mark.parametrize(("text", "inputs"), [("relu(x)", "gaussian"), ("tanh(x)", "gaussian"), ("relu(x)", "sphere")])
def test_moments_against_the_diagonal(text, inputs):
    # Σ mult λ E e² g² over all eigenvalues is E e² k(x, x), here by the matrix of a large sample.
    it = spiked(text, 20, 4.0, inputs)
    population = mercer(it, 1, degrees=6)
    nodes = population.nodes
    resolved = (population.multiplicities * population.eigenvalues) @ Fluctuations(population).joint(0)
    total = float((nodes.weights * nodes.functions[0] ** 2) @ nodes.diagonal)
    assert 0.9 * total < resolved < total
    rng = np.random.default_rng(7)
    sub = sampled.inputs(inputs, 800, 20, rng)
    _, vectors = np.linalg.eigh(sampled.kernel(it.activation, sub, sub, 1.0, 4.0) / 800)
    e = vectors[:, -1] * math.sqrt(800)
    diagonal = sampled.second_moment(it.activation, np.linalg.norm(sub * np.sqrt([5 / 20] + [1 / 20] * 19), axis=1))
    assert np.mean(e**2 * diagonal) == pytest.approx(total, rel=0.05)


@pytest.mark.parametrize("spike", [2.0, 15.0])
def test_scatter_of_a_wishart_outlier_is_pauls(spike):
    # The linear kernel on Gaussian inputs is a sample covariance: variance 2 l² (1 − γ/(l − 1)²)/n, but for O(1/n²).
    n, d = 400, 60
    (outlier,) = kernel_matrix(spiked("x", d, spike, "gaussian"), n).outliers
    top = 1 + spike
    variance = 2 * top**2 * (1 - (d - 1) / n / (top - 1) ** 2) / n
    assert outlier.spread * d == pytest.approx(math.sqrt(variance), rel=2e-3)


@pytest.mark.parametrize("n", [100, 300])
def test_close_simple_eigenvectors_mix(n):
    it = spiked("relu(x)")
    matrix = kernel_matrix(it, n)
    rng = np.random.default_rng(np.random.SeedSequence([3, n]))
    tops, shares = [], []
    for _ in range(TRIALS):
        x = sampled.inputs("sphere", n, 30, rng)
        values, vectors = np.linalg.eigh(sampled.kernel(it.activation, x, x, 1.0, 15.0) / n)
        y = sampled.zonal(x[:, 0], 30, 4)
        y /= np.linalg.norm(y, axis=1, keepdims=True)
        tops.append(values[-1])
        shares.append((y @ vectors[:, -1]) ** 2)
    first = matrix.outliers[0]
    predicted = matrix.harmonic_overlaps(first, 4)
    error = np.std(shares, axis=0) / math.sqrt(TRIALS)
    assert (np.abs(np.mean(shares, axis=0) - predicted) < 3 * error + 0.1 * np.minimum(predicted, 1 - predicted)).all()
    assert np.mean(tops) == pytest.approx(first.location, abs=3 * np.std(tops) / math.sqrt(TRIALS))
    # Functions taken for independent would give a third of the exchange.
    assert predicted[1] > 0.6 * 2.24 * 3 / n


def test_scale_of_one_bulk_is_johnstones():
    # |x_⊥|² = d − z² varies by O(1/√d), which moves the edges by O(1/d).
    n, d = 400_000, 100_000
    matrix = kernel_matrix(spiked("x", d, 0.0), n)
    upper, lower = matrix.edges
    p = d - 1
    scale = (math.sqrt(n) + math.sqrt(p)) * (1 / math.sqrt(n) + 1 / math.sqrt(p)) ** (1 / 3) / n / d
    assert upper.scale == pytest.approx(scale, rel=10 / d)
    assert upper.location == pytest.approx((1 + math.sqrt(p / n)) ** 2 / d, rel=10 / d)
    assert [edge.rank for edge in matrix.edges] == [0, p]  # the target's own direction sits among the others
    low = (math.sqrt(n) - math.sqrt(p)) * (1 / math.sqrt(p) - 1 / math.sqrt(n)) ** (1 / 3) / n / d
    assert lower.scale == pytest.approx(low, rel=10 / d)


@pytest.mark.parametrize("text", ["erf(x)", "relu(x)", "tanh(x)"])
def test_ends_of_the_first_bulk_lie_within_the_scale(text):
    it, n = spiked(text), 300
    matrix = kernel_matrix(it, n)
    rng = np.random.default_rng(np.random.SeedSequence([11, n]))
    values = []
    for _ in range(12):
        x = sampled.inputs("sphere", n, 30, rng)
        values.append(np.linalg.eigvalsh(sampled.kernel(it.activation, x, x, 1.0, 15.0) / n)[::-1])
    for edge in matrix.edges[:2]:
        sample = np.array(values)[:, edge.rank]
        expected = edge.location + (1 if edge.upper else -1) * TRACY_WIDOM_MEAN * edge.scale
        assert sample.mean() == pytest.approx(expected, abs=TRACY_WIDOM_SD * edge.scale)
        # A scale off by a factor of two would be seen in the scatter.
        assert 0.5 < np.std(sample) / (TRACY_WIDOM_SD * edge.scale) < 1.6


def test_outliers_between_bulks_have_their_place():
    it, n = spiked("erf(x)"), 300
    matrix = kernel_matrix(it, n)
    second = matrix.outliers[1]
    top, bottom = matrix.edges[:2]
    assert (top.rank, bottom.rank) == (1, 29)
    assert matrix.edges[2].rank == 31
    x = sampled.inputs("sphere", n, 30, np.random.default_rng(4))
    values = np.linalg.eigvalsh(sampled.kernel(it.activation, x, x, 1.0, 15.0) / n)[::-1]
    assert values[30] == pytest.approx(second.location, rel=0.15)
    assert values[29] > 2 * second.location > 2 * values[31]
