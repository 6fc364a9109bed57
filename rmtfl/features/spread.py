"""ρ²(ā) = E ‖w'‖², the variance of a preactivation on a fresh sample beside its mean given ā and the training data.

With S = s₁ā, κ = 1 + S c₀ μ₂, h⁽¹⁾ the preactivation after step one on a sample of batch two
(`rmtfl.weights.conditional`) and u = s₂ ā r σ'(h⁽¹⁾) that sample's share in the second update,

    one step:   ρ² = κ² + S² φ m₂ v₁,
    two steps:  ρ² = (κ + E[h u])² + φ (m₂ v₁ (S + ν)² + 2 ρ_b (S + ν) E[y (σ'(h) − μ₁) u] + E Var(u | y, G)),

with ν = E[ξ u]/(φ m₂ v₁), ρ_b = 1 for a reused batch and 0 for independent ones (theory/feature-regression.md,
`feature-regression.spread`). The first square is the untrained row's own, isotropic part; the rest is a sum over the
samples of a batch, x_j times what they leave in a neuron (`feature-regression.batches`). Checked against trained
networks in tests/regression.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import make_interp_spline
from scipy.special import ndtr

from rmtfl.gaussian import density, rule
from rmtfl.links import Link, parse
from rmtfl.setup import Setup
from rmtfl.weights import conditional
from rmtfl.weights.deformed import slopes
from rmtfl.weights.rows import FARTHEST, Resolution, ReusedFrame
from rmtfl.weights.second_layer import hermite_rule, orthonormal_hermite
from rmtfl.weights.smoothing import REACH, lines, smooth, value_and_derivative
from rmtfl.weights.statistics import Statistics

Array = NDArray[np.float64]

FINE, COARSE = 0.05, 400  # nodes of a spline: in units of the smoothing near a kink, and their number elsewhere
LABEL_LEVEL, NOISE_ORDER = 3.0, 20  # of the rules for squared labels: in the target coordinate, and in the noise
KINKED_LEVEL = -2.0  # of the rule in h for a kinked activation, less that of the neuron: ξ smooths its jumps


@dataclass(frozen=True)
class Spread:
    """ρ² at nodes in ā, by where it comes from.

    Attributes:
        own: of the untrained row, shape (m,).
        noise: of each batch's samples, shape (batches, m).
        shares: what a sample has in noise, by ā on average and up to a factor, at nodes; shape (J,).
        masses: of the nodes, shape (J,).
    """

    own: Array
    noise: Array
    shares: Array
    masses: Array

    @property
    def total(self) -> Array:
        """ρ², shape (m,); rounding may leave less than nothing."""
        return np.asarray(np.maximum(self.own + self.noise.sum(axis=0), 0.0))


def after_one_step(setup: Setup, stats: Statistics, shift: Array) -> Spread:
    """That at S = `shift`; a sample's share is its squared label."""
    z, weight = rule(setup.data.target.breakpoints, LABEL_LEVEL, FARTHEST)
    noise, own = hermite_rule(NOISE_ORDER) if stats.noise else (np.zeros(1), np.ones(1))
    squares = (setup.data.target.numpy()(z)[:, None] + stats.noise * noise) ** 2
    own_part, noise_part = (1 + shift * stats.c0 * stats.mu2) ** 2, (shift * stats.specific)[None] ** 2
    return Spread(own_part, noise_part, squares.ravel(), (weight[:, None] * own).ravel())


def independent(
    setup: Setup, stats: Statistics, steps: tuple[float, float], nodes: tuple[Array, Array], resolution: Resolution
) -> Spread:
    """That after two steps on two batches, at the nodes in ā (given with their masses); shares as after one step."""
    (first, second), (a, mass) = steps, nodes
    gamma, weight = rule((), resolution.direction, FARTHEST)
    G = stats.tau * gamma
    one = after_one_step(setup, stats, first * a)
    before = one.total
    found = slopes.moments(
        setup.network.activation.derivative(), np.multiply.outer(first * stats.mu1 * a, G), np.sqrt(before)[:, None]
    )
    response = np.zeros(gamma.size)
    if setup.training.loss == "squared":
        value, _ = conditional.independent(setup.network.activation, stats, first * a, G, resolution.neuron)
        response = (mass * a) @ value
    mean, spread = stats.c1 * gamma / stats.tau, np.asarray(stats.perpendicular / stats.tau)
    labels = smooth(setup.data.target, mean, spread, resolution.sample)[0]
    squares = smooth(square(setup.data.target), mean, spread, resolution.sample)[0] + stats.noise**2
    residual = weight * (labels - response)
    residual_square = weight * np.maximum(squares - 2 * response * labels + response**2, 0.0)
    turned = 1 + second * a * (found.linear @ residual)
    scattered = (before[:, None] * found.linear**2 + found.rest) @ residual_square
    noise = np.array([one.noise[0] * turned**2, stats.phi * (second * a) ** 2 * scattered])
    return Spread(one.own * turned**2, noise, one.shares, one.masses)


def reused(
    setup: Setup, stats: Statistics, steps: tuple[float, float], nodes: tuple[Array, Array], resolution: Resolution
) -> Spread:
    """That after two steps on one batch, at the nodes in ā (given with their masses)."""
    (first, second), (a, mass) = steps, nodes
    frame = ReusedFrame(setup, stats, resolution)
    G = stats.tau * frame.gamma[:, None]
    residual = frame.label
    if setup.training.loss == "squared":
        value, _ = conditional.reused(
            setup.network.activation,
            stats,
            first * a,
            frame.gamma,
            frame.grid.nodes,
            resolution.hidden,
            resolution.neuron,
        )
        residual = residual - frame.grid.interpolate(np.tensordot(mass * a, value, axes=1)[None])[0]
    weight, label = frame.weight, frame.label
    averages = _kinked if setup.network.activation.kinks else _smooth
    own, noise = np.empty((2, a.size))
    shares = np.zeros(label.shape)
    for i, (shift, step) in enumerate(zip(first * a, second * a, strict=True)):
        # Given (y, G), at the labels of the frame: E of σ'(h⁽¹⁾) times 1, h, ξ and σ'(h), and its variance.
        one, h, xi, slope, varied = frame.grid.interpolate(averages(setup, stats, shift, frame, G, resolution))
        u, specific = step * residual, stats.m2 * stats.v1
        along = float(np.sum(weight * u * h))
        nu = float(np.sum(weight * u * xi)) / (stats.phi * specific) if specific else 0.0
        # Var over neurons of (S + ν) y σ'(h) + u, given (y, G).
        total = shift + nu
        share = stats.v1 * (total * label) ** 2 + 2 * total * label * u * (slope - stats.mu1 * one) + u * u * varied
        own[i] = (1 + shift * stats.c0 * stats.mu2 + along) ** 2
        noise[i] = stats.phi * float(np.sum(weight * share))
        shares += mass[i] * share
    return Spread(own, noise[None], np.maximum(shares, 0.0).ravel(), weight.ravel())


def _smooth(setup: Setup, stats: Statistics, shift: float, frame: ReusedFrame, G: Array, at: Resolution) -> Array:
    """What `reused` needs given (G, label nodes), shape (5, g, nodes): on a grid in w = μ₁ G + ξ, then by Mehler."""
    h, weight = rule((), at.neuron, REACH)
    both = value_and_derivative(setup.network.activation)
    inner = both(h)[1]
    known = abs(stats.mu1) * stats.tau
    spread = float(np.hypot(known, stats.specific))
    nodes, masses = hermite_rule(at.hidden)
    base = (1 + shift * stats.c0 * stats.mu2) * h + shift * stats.phi * frame.grid.nodes[:, None] * inner
    slope = both(base + shift * spread * nodes[:, None, None])[1]
    on_grid = np.array([slope @ weight, slope @ (weight * h), slope @ (weight * inner), (slope * slope) @ weight])
    basis = orthonormal_hermite(np.concatenate([nodes, np.sign(stats.mu1) * frame.gamma]), at.hidden)
    correlation = known / spread if spread else 0.0
    transfer = (basis[:, at.hidden :].T * correlation ** np.arange(at.hidden)) @ (basis[:, : at.hidden] * masses)
    one, along, mixed, itself = np.matmul(transfer, on_grid)
    whole = np.matmul(transfer, spread * nodes[:, None] * on_grid[0])  # E[w σ'(h⁽¹⁾)]
    return np.array([one, along, whole - stats.mu1 * G * one, mixed, itself - one**2])


def _kinked(setup: Setup, stats: Statistics, shift: float, frame: ReusedFrame, G: Array, at: Resolution) -> Array:
    """The same with the average over ξ cut at the kinks of σ'."""
    link = setup.network.activation
    slope = link.derivative()
    h, weight = rule(link.breakpoints, KINKED_LEVEL + at.neuron, REACH)
    inner = slope.numpy()(h)
    spread = max(abs(shift) * stats.specific, 1e-12)
    own = (1 + shift * stats.c0 * stats.mu2) * h + shift * stats.phi * frame.grid.nodes[:, None] * inner
    mean = shift * stats.mu1 * G[:, :, None] + own
    smoothed = _steps(link, mean, spread) if link.is_piecewise_linear else _tabulated(slope, mean, spread)
    average, linear, itself = smoothed
    xi = spread * linear * np.sign(shift) * stats.specific
    one, *others = (v @ weight for v in (average, average * h, xi, average * inner, itself))
    return np.array([one, *others[:-1], others[-1] - one**2])


def _steps(link: Link, mean: Array, spread: float) -> Array:
    """(E σ', E[t σ']/√τ, E σ'²) at N(mean, spread²) for a piecewise-linear σ, in closed form."""
    slope, _, jumps = lines(link)
    found = np.array([slope, 0.0, slope**2])[:, *([None] * mean.ndim)] * np.ones_like(mean)
    for cut, jump in jumps:
        t = (mean - cut) / spread
        above = ndtr(t)
        found[0] += jump * above
        found[1] += jump / spread * density(t)
        found[2] += (2 * slope * jump + jump**2) * above
        slope += jump
    return found


def _tabulated(slope: Link, mean: Array, spread: float) -> Array:
    """(E σ', E[t σ']/√τ, E σ'²) at N(mean, spread²), a spline between means that are dense where kinks are smoothed."""
    low, high = mean.min() - spread, mean.max() + spread
    offsets = np.arange(-REACH, REACH + FINE / 2, FINE) * spread
    near = [cut + offsets for cut in slope.breakpoints]
    nodes = np.unique(np.concatenate([np.linspace(low, high, COARSE), *near]))
    nodes = nodes[(nodes >= low) & (nodes <= high)]
    nodes = nodes[np.concatenate([[True], np.diff(nodes) > 1e-3 * FINE * spread])]
    found = slopes.moments(slope, nodes, np.asarray(spread))
    values = np.column_stack([found.mean, found.linear, found.mean**2 + (spread * found.linear) ** 2 + found.rest])
    return np.asarray(np.moveaxis(make_interp_spline(nodes, values, k=3)(mean), -1, 0))


def square(link: Link) -> Link:
    """f² as a link."""
    return parse(f"({link.text})**2")
