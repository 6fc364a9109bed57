"""Mean rows and spreads after two steps (theory/features.md, `features.two-steps`).

The mean rows are Ψ(ā) of the weights (`rmtfl.weights.rows`). Independent batches leave, with τ the spread squared of
one step, r = y − f̄(G) or y and all averages over σ'(h⁽¹⁾) given G,

    ρ² = τ (1 + s₂ā E[r E σ''])² + (s₂ā)² φ E[r² Var σ'].

On a reused batch, with u = r σ'(h⁽¹⁾), h⁽¹⁾ = h + S (P + φ y σ'(h)) and P = μ₁ G + c₀ μ₂ h + ξ the first update without
the sample's own part, the whole row has

    ‖w₂‖² = ‖w₁‖² + 2 s₂ā E[u h⁽¹⁾] + (s₂ā)² {v^T C^{-1} v + φ E u² + 2 φ (C^{-1} v)_P E[y σ'(h) u]},

v = E[(z, h, P) u], C the covariance of (z, h, P); ρ² is that less ‖Ψ‖². The averages are over a lattice in (z, b^⊥,
noise, h, ξ), good to about 1e-4 of ρ² − 1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RectBivariateSpline, make_interp_spline
from scipy.special import ndtri

from rmtfl.setup import Setup
from rmtfl.weights import conditional, second_layer
from rmtfl.weights.deformed import slopes
from rmtfl.weights.rows import FARTHEST, FIELDS, Resolution, ReusedFrame, build
from rmtfl.weights.statistics import Statistics

Array = NDArray[np.float64]

NEGLIGIBLE = 1e-10  # relative size of directions of the mean rows that are left out
SAMPLES = 4096  # of the lattice that averages over a fresh batch are taken on
RESPONSE = 32  # nodes in ā of the mean network function
SPLINE_ORDER = 7  # between the nodes of the Gauss rules in ā, a third apart
BLOCK = 1 << 19


def rows(setup: Setup, stats: Statistics, a: Array, level: int, points: int) -> tuple[Array, Array]:
    """m(ā) in an orthonormal frame, shape (m, D), and ρ(ā), shape (m,).

    Args:
        setup: of two steps, at a width.
        stats: its moments.
        a: second-layer nodes.
        level: of the resolution of `rmtfl.weights.rows`.
        points: of the lattice.
    """
    width = int(setup.sizes.width)
    first, second = (setup.training.step_size(t, width) for t in range(2))
    reused = setup.training.batches == "reused"
    cut = reused and bool(setup.network.activation.kinks)  # the rows then have a kink at ā = 0
    resolution = Resolution.at(np.full(FIELDS, level), cut)
    law = setup.network.second_layer
    nodes, weights = second_layer.rule(law, resolution.second_layer, cut=cut)
    with np.errstate(over="ignore", invalid="ignore"):
        found = build(setup, stats, first, nodes, weights, resolution)
    square = (_norm_reused if reused else _square_independent)(setup, stats, nodes, points)
    mixing = np.column_stack([found.mixing, square])
    if law != "rademacher":
        mixing = _interpolated(nodes, mixing, a, cut)
    mixing, square = mixing[:, :-1], mixing[:, -1]
    spanning = np.vstack([found.direction, found.vectors])
    mixing = a[:, None] * np.column_stack([np.full(a.size, first * stats.mu1), second * mixing])
    triangle = np.asarray(np.linalg.qr(spanning[:, 1:].T, mode="r"))
    across, singular, _ = np.linalg.svd(mixing @ triangle.T, full_matrices=False)
    kept = singular > NEGLIGIBLE * singular[0]
    mean = np.column_stack([mixing @ spanning[:, 0], across[:, kept] * singular[kept]])
    if reused:
        square = square - (mean**2).sum(axis=1)
    return mean, np.sqrt(np.maximum(square, 0.0))


def _interpolated(nodes: Array, values: Array, a: Array, cut: bool) -> Array:
    """Functions of ā given at the nodes of a Gauss rule, shape (nodes, r), at others; on either side of 0 if cut."""
    if not cut:
        return np.asarray(make_interp_spline(nodes, values, k=SPLINE_ORDER)(a))
    result = np.empty((a.size, values.shape[1]))
    for side, own in ((nodes > 0, a > 0), (nodes <= 0, a <= 0)):
        result[own] = make_interp_spline(nodes[side], values[side], k=SPLINE_ORDER)(a[own])
    return result


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


def _square_independent(setup: Setup, stats: Statistics, a: Array, points: int) -> Array:
    first, second = (setup.training.step_size(t, int(setup.sizes.width)) for t in range(2))
    z, g, epsilon = lattice(points // 2, 3)
    G = stats.c1 * z + stats.perpendicular * g
    residual = setup.data.target.numpy()(z) + stats.noise * epsilon
    activation = setup.network.activation
    if setup.training.loss == "squared":
        nodes, weights = second_layer.rule(setup.network.second_layer, RESPONSE)
        at = np.linspace(-FARTHEST, FARTHEST, 161) * stats.tau
        value, _ = conditional.independent(activation, stats, first * nodes, at, 1.0)
        residual = residual - np.interp(G, at, (weights * nodes) @ value)
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


def _norm_reused(setup: Setup, stats: Statistics, a: Array, points: int) -> Array:
    """‖w₂‖² on a reused batch."""
    first, second = (setup.training.step_size(t, int(setup.sizes.width)) for t in range(2))
    z, g, epsilon, h, xi = lattice(points, 5)
    G = stats.c1 * z + stats.perpendicular * g
    y = setup.data.target.numpy()(z) + stats.noise * epsilon
    activation = setup.network.activation
    slope = activation.derivative().numpy()
    residual = y - _response(setup, stats, first, G, y) if setup.training.loss == "squared" else y
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
        u = residual * slope(after)
        v = coordinates @ u / u.size
        along = inverse @ v
        step = v @ along + stats.phi * np.mean(u * u) + 2 * stats.phi * along[2] * np.mean(own * u)
        norm[i] = 1 + 2 * s * shared[1] + s * s * variance + 2 * move * np.mean(u * after) + move**2 * step
    return norm


def _response(setup: Setup, stats: Statistics, first: float, G: Array, y: Array) -> Array:
    """The mean network function after step one at samples (G, y) of the reused batch."""
    resolution = Resolution.at(np.zeros(FIELDS, dtype=np.int_), bool(setup.network.activation.kinks))
    frame = ReusedFrame(setup, stats, resolution)
    nodes, weights = second_layer.rule(setup.network.second_layer, RESPONSE)
    value, _ = conditional.reused(
        setup.network.activation, stats, first * nodes, frame.gamma, frame.grid.nodes, resolution.hidden, 1.0
    )
    table = np.tensordot(weights * nodes, value, axes=1)
    labels, order = np.unique(np.arcsinh((frame.grid.nodes - frame.grid.centre) / frame.grid.scale), return_index=True)
    spline = RectBivariateSpline(frame.gamma, labels, table[:, order])
    at = np.clip(np.arcsinh((y - frame.grid.centre) / frame.grid.scale), labels[0], labels[-1])
    return np.asarray(spline.ev(np.clip(G / stats.tau, -FARTHEST, FARTHEST), at))
