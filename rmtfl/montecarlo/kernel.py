"""Kernel matrices and kernel ridge regressions on drawn samples, and one training step's covariance.

The kernel between samples is summed from its Hermite series, k(x, x') = Σ_m ρ^m h_m(√q) h_m(√q'), with the
coefficients by quadrature cut at the activation's kinks; the diagonal, where a kinked series converges slowly, is
E σ(√q g)² directly. No closed dual, spectrum or law is used: this is the other way to every number that the theory
gives. Checked against closed duals in tests/montecarlo.

The target direction is the first basis vector: the laws of inputs and weights do not change under rotations.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.random import Generator, SeedSequence, default_rng
from numpy.typing import NDArray

from rmtfl.links import Link
from rmtfl.montecarlo.threads import one_blas_thread

Array = NDArray[np.float64]

TERMS = 260  # of the Hermite series: relu's off-diagonal entries to 1e-6 at ρ = 0.95, smooth activations far better
REACH = 12.0  # of the quadrature in g: φ^{1/2}(12) is 1e-16
PANEL = 0.25  # width of a panel of 12 Gauss nodes
TESTS = 2000  # test points of a regression
FOLDS = 5  # of cross-validation


def inputs(law: str, count: int, dimension: int, rng: Generator) -> Array:
    """(count, d) samples, of N(0, I) or uniform on the sphere of radius √d."""
    x: Array = rng.standard_normal((count, dimension))
    if law == "sphere":
        x *= math.sqrt(dimension) / np.linalg.norm(x, axis=1, keepdims=True)
    return x


def kernel(link: Link, x: Array, other: Array, isotropic: float, spike: float) -> Array:
    """k₁ between the rows of two sample arrays: (n, n')."""
    d = x.shape[1]
    scale = np.full(d, math.sqrt(isotropic / d))
    scale[0] = math.sqrt((isotropic + spike) / d)
    left, right = x * scale, other * scale
    s, t = np.linalg.norm(left, axis=1), np.linalg.norm(right, axis=1)
    rho = np.clip((left @ right.T) / np.outer(s, t), -1, 1)
    first, second = hermite_coefficients(link, s), hermite_coefficients(link, t)
    total: Array = np.zeros(rho.shape)
    for m in range(TERMS - 1, -1, -1):  # Horner in ρ
        total *= rho
        total += np.outer(first[m], second[m])
    if x is other:
        np.fill_diagonal(total, second_moment(link, s))
    return total


def _nodes(link: Link, scale: float) -> tuple[Array, Array]:
    nodes, weights = np.polynomial.legendre.leggauss(12)
    cuts = [k / scale for k in link.breakpoints if abs(k) < REACH * scale]
    edges = np.array(sorted({*np.arange(-REACH, REACH + PANEL / 2, PANEL), *cuts}))
    half, middle = np.diff(edges)[:, None] / 2, (edges[1:] + edges[:-1])[:, None] / 2
    g = (middle + half * nodes).ravel()
    return g, (half * weights).ravel() * np.exp(-g * g / 2) / math.sqrt(2 * math.pi)


def hermite_coefficients(link: Link, scales: Array) -> Array:
    """h_m(s) = E He_m(g) σ(s g)/√m!, m < TERMS, at every scale: (TERMS, scales)."""
    found = np.empty((TERMS, scales.size))
    # With no kink but at 0 the nodes do not depend on the scale, and all scales are one product.
    shared = all(k == 0 for k in link.breakpoints)
    groups = [np.arange(scales.size)] if shared else [np.array([i]) for i in range(scales.size)]
    for group in groups:
        g, weights = _nodes(link, float(scales[group[0]]))
        values = weights[:, None] * link.numpy()(g[:, None] * scales[group])
        before, now = np.zeros_like(g), np.ones_like(g)
        for m in range(TERMS):
            found[m, group] = now @ values
            before, now = now, (g * now - math.sqrt(m) * before) / math.sqrt(m + 1)
    return found


def second_moment(link: Link, scales: Array) -> Array:
    """E σ(s g)² at every scale."""
    found = np.empty_like(scales)
    for i, s in enumerate(scales):
        g, weights = _nodes(link, float(s))
        found[i] = weights @ link.numpy()(s * g) ** 2
    return found


def zonal(z: Array, dimension: int, count: int) -> Array:
    """Zonal harmonics Y_0, …, of S^{d−1} at coordinates z = √d cos, of unit second moment: (count, samples)."""
    d, found = dimension, [np.ones_like(z), z]
    for m in range(1, count - 1):
        up, down = (d * k * (k + d - 3) / ((2 * k + d - 2) * (2 * k + d - 4)) for k in (m + 1, m))
        found.append((z * found[m] - math.sqrt(down) * found[m - 1]) / math.sqrt(up))
    return np.array(found[:count])


def matrix_trial(setup: Any, seed: SeedSequence) -> dict[str, Array]:
    """One kernel matrix: its eigenvalues over n, and its leading eigenvectors' overlaps with zonal harmonics.

    Args:
        setup: a row of a kernel-matrix study.
        seed: of this trial.

    Returns:
        'eigenvalues' (n,), descending; 'harmonics' (4, 4), squared cosines of eigenvector j with Y_m.
    """
    spiked, n = setup.spiked, setup.kernel.samples
    rng = default_rng(seed)
    with one_blas_thread():
        x = inputs(spiked.inputs, n, spiked.dimension, rng)
        gram = kernel(spiked.activation, x, x, spiked.isotropic, spiked.spike) / n
        values, vectors = np.linalg.eigh(gram)
    radius = np.linalg.norm(x, axis=1)
    harmonics = zonal(x[:, 0] / radius * math.sqrt(spiked.dimension), spiked.dimension, 4)
    # Beside Y_m, the kernel's functions carry the radius: its mean direction is that of ‖x‖ Y_m for relu.
    harmonics /= np.linalg.norm(harmonics, axis=1, keepdims=True)
    leading = vectors[:, ::-1][:, :4]
    return {"eigenvalues": values[::-1].copy(), "harmonics": (harmonics @ leading).T ** 2}


def regression_trial(setup: Any, seed: SeedSequence) -> dict[str, Array]:
    """One sample of each size.

    Args:
        setup: a row of a learning-curve study.
        seed: of this trial.

    Returns:
        'mse' (sizes, ridges), test errors on noisy labels; 'chosen' (sizes,), the index of the ridge that
        cross-validation chooses, where the study asks for that.
    """
    spiked, table = setup.spiked, setup.kernel
    rng = default_rng(seed)
    target, noise = setup.data.target.numpy(), float(setup.data.noise)
    ridges = [float(ridge) for ridge in table.ridge]
    errors, chosen = np.empty((len(table.samples), len(ridges))), np.empty(len(table.samples))
    with one_blas_thread():
        for i, n in enumerate(table.samples):
            x = inputs(spiked.inputs, n, spiked.dimension, rng)
            tests = inputs(spiked.inputs, TESTS, spiked.dimension, rng)
            labels = target(x[:, 0]) + noise * rng.standard_normal(n)
            gram = kernel(spiked.activation, x, x, spiked.isotropic, spiked.spike)
            cross = kernel(spiked.activation, tests, x, spiked.isotropic, spiked.spike)
            predicted = _ridge_predictions(gram, labels, cross, ridges)
            # The test labels' noise is independent: its mean square is added, not drawn.
            errors[i] = np.mean((predicted - target(tests[:, 0])) ** 2, axis=1) + noise**2
            if table.ridge_choice == "cross-validation":
                chosen[i] = _cross_validated(gram, labels, ridges)
    return {"mse": errors, **({"chosen": chosen} if table.ridge_choice == "cross-validation" else {})}


def _ridge_predictions(gram: Array, labels: Array, cross: Array, ridges: list[float]) -> Array:
    """k(·, X)(K + δI)^{−1} y at every point for every ridge δ: (ridges, points)."""
    values, vectors = np.linalg.eigh(gram)
    shrunk = (labels @ vectors) / np.maximum(values + np.array(ridges)[:, None], 1e-300)
    return np.asarray(shrunk @ (cross @ vectors).T)


def _cross_validated(gram: Array, labels: Array, ridges: list[float]) -> int:
    """The index of the ridge whose mean squared error on the folds left out is the smallest."""
    total = np.zeros(len(ridges))
    for fold in np.array_split(np.arange(labels.size), FOLDS):  # the samples are independent: no need to shuffle
        kept = np.setdiff1d(np.arange(labels.size), fold)
        predicted = _ridge_predictions(gram[np.ix_(kept, kept)], labels[kept], gram[np.ix_(fold, kept)], ridges)
        total += np.sum((predicted - labels[fold]) ** 2, axis=1)
    return int(np.argmin(total))


def matrix_memory(setup: Any) -> int:
    """The bytes that one `matrix_trial` needs at its peak: the matrix, its eigenvectors and two workspaces."""
    n = int(setup.kernel.samples)
    return 8 * (5 * n * n + 2 * TERMS * n)


def regression_memory(setup: Any) -> int:
    """The bytes that one `regression_trial` needs at its peak."""
    n = int(max(setup.kernel.samples))
    return 8 * (5 * n * n + 4 * n * TESTS + 2 * TERMS * (n + TESTS))


def step_moments(
    activation: Link,
    target: Link,
    noise: float,
    step: float,
    width: int,
    dimension: int,
    samples: int,
    rng: Generator,
) -> tuple[float, float]:
    """(A, B) of the rows after one step on one fresh batch: the mean over rows of d w w^T, along and across β.

    Across, the mean over the d − 1 other axes is A; along, A + B. One draw; the average over draws is Γ.
    """
    d = dimension
    x = rng.standard_normal((samples, d))
    labels = target.numpy()(x[:, 0]) + noise * rng.standard_normal(samples)
    rows = rng.standard_normal((width, d)) / math.sqrt(d)
    second = rng.standard_normal(width)
    gradient = activation.derivative().numpy()(rows @ x.T) * (labels / samples)
    rows = rows + step * second[:, None] * (gradient @ x)
    squares = d * np.mean(rows**2, axis=0)
    across = float(np.mean(squares[1:]))
    return across, float(squares[0] - across)
