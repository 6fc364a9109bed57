"""Squared norms of rows after two steps by averages over a lattice: the other way to `rmtfl.features.spread`.

For the correlation loss. With v = E[(z, h, P) u] and C the covariance of (z, h, P), P the first update without the
sample's own part, ‖w₂‖² = ‖w₁‖² + 2 s₂ā E[u h⁽¹⁾] + (s₂ā)² {v^T C^{-1} v + φ E u² + 2 φ (C^{-1} v)_P E[y σ'(h) u]} on a
reused batch (theory/features.md, `features.two-steps`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from rmtfl.setup import Setup
from rmtfl.weights.deformed import slopes
from rmtfl.weights.statistics import Statistics

Array = NDArray[np.float64]

BLOCK = 1 << 19


def lattice(count: int, dimensions: int) -> Array:
    """Points of a Kronecker lattice as standard Gaussians, shape (dimensions, count).

    Its steps are the powers of the inverse of the root of g^(dimensions + 1) = g + 1, the golden ratio in one
    dimension.
    """
    ratio = 2.0
    for _ in range(60):
        ratio = (1 + ratio) ** (1 / (dimensions + 1))
    steps = ratio ** -np.arange(1.0, dimensions + 1)
    return np.asarray(ndtri((0.5 + steps[:, None] * np.arange(1, count + 1)) % 1))


def square_independent(setup: Setup, stats: Statistics, a: Array, points: int) -> Array:
    first, second = (setup.training.step_size(t, int(setup.sizes.width)) for t in range(2))
    z, g, epsilon = lattice(points // 2, 3)
    G = stats.c1 * z + stats.perpendicular * g
    residual = setup.data.target.numpy()(z) + stats.noise * epsilon
    activation = setup.network.activation
    tau = (1 + first * a * stats.c0 * stats.mu2) ** 2 + (first * a * stats.specific) ** 2
    slope, square = np.empty(a.size), np.empty(a.size)
    size = max(1, BLOCK // (40 * G.size))
    for start in range(0, a.size, size):
        part = slice(start, start + size)
        found = slopes.moments(
            activation.derivative(), np.multiply.outer(first * a[part] * stats.mu1, G), np.sqrt(tau[part, None])
        )
        slope[part] = (found.linear * residual).mean(axis=1)
        spread = found.rest + tau[part, None] * found.linear**2
        square[part] = (spread * residual**2).mean(axis=1)
    S = second * a
    return np.asarray(tau * (1 + S * slope) ** 2 + S**2 * stats.phi * square)


def norm_reused(setup: Setup, stats: Statistics, a: Array, points: int) -> Array:
    """‖w₂‖² on a reused batch."""
    first, second = (setup.training.step_size(t, int(setup.sizes.width)) for t in range(2))
    z, g, epsilon, h, xi = lattice(points, 5)
    G = stats.c1 * z + stats.perpendicular * g
    y = setup.data.target.numpy()(z) + stats.noise * epsilon
    activation = setup.network.activation
    slope = activation.derivative().numpy()
    P = stats.mu1 * G + stats.c0 * stats.mu2 * h + stats.specific * xi
    own = y * slope(h)
    coordinates = np.stack([z, h, P])
    shared = stats.mu1 * stats.c1, stats.c0 * stats.mu2
    variance = (stats.mu1 * stats.tau) ** 2 + shared[1] ** 2 + stats.specific**2
    covariance = np.array([[1, 0, shared[0]], [0, 1, shared[1]], [*shared, variance]])
    S, norm = first * a, np.empty(a.size)
    inverse = np.linalg.pinv(covariance)
    for i, (s, move) in enumerate(zip(S.tolist(), (second * a).tolist(), strict=True)):
        after = h + s * (P + stats.phi * own)
        u = y * slope(after)
        v = coordinates @ u / u.size
        along = inverse @ v
        step = v @ along + stats.phi * np.mean(u * u) + 2 * stats.phi * along[2] * np.mean(own * u)
        norm[i] = 1 + 2 * s * shared[1] + s * s * variance + 2 * move * np.mean(u * after) + move**2 * step
    return norm
