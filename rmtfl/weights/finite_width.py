"""The weights at width N: the finite-rank part with the step sizes kept finite.

Given ā, the mean of a neuron's update is Ψ(ā) = ā (s₁ μ₁ b + s₂ X₂^T H_ā/n) with H_ā = r E σ'(h⁽¹⁾); the squares of the
spikes are the eigenvalues of N ⟨Ψ(a), Ψ(a')⟩ on L²(law of ā) (theory/two-step.md, `two-step.gram`). Every Gram product is
one of explicit vectors, so the spikes come from a singular value decomposition, never squared:

    reused        X^T H/n ↔ (E[zH]; √φ (H + q_H y)),       b ↔ (c₁; √φ y)           in R ⊕ L²(y, G)
    independent   X^T H/n ↔ (E[zH], E[gH]; √φ H),          b ↔ (c₁, √(φ m₂); 0)     in R² ⊕ L²(y, G)

with g the standardised part of G across z and q_H = E[gH]/√(φ m₂). The first coordinate is the overlap with the target.

All quadratures are refined together until two successive levels agree to the tolerance; the difference, which is the
error of the coarser level, is the error reported for the finer one. What is neglected is O(N^{-1/2}), and the
deformation of the bulk, O(s²).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rmtfl.errors import ToleranceNotMet
from rmtfl.gaussian import density, legendre, rule
from rmtfl.setup import Setup
from rmtfl.weights import conditional, second_layer
from rmtfl.weights.statistics import Statistics, statistics

Array = NDArray[np.float64]

FARTHEST = 8.5  # of the standardised direction: what lies beyond weighs 1e-16
NEGLIGIBLE = 1e-21  # weight of a quadrature node in (z, G, noise) that is left out
SMALLEST = 0.1  # spikes below it are not reported
LEVELS = 7
EPSILON = float(np.finfo(float).eps)


@dataclass(frozen=True)
class Resolution:
    """How many nodes each variable gets: orders of Gauss rules, and levels of the rules that are refined by steps."""

    second_layer: int
    direction: float
    hidden: int
    label: int
    noise: int
    sample: float
    neuron: float

    @classmethod
    def level(cls, level: int) -> Resolution:
        """The resolution at one level of joint refinement."""
        grow = 1.25**level
        return cls(
            second_layer=round(50 * grow),
            direction=0.25 * level,
            hidden=round(29 * grow),
            label=round(20 * grow),
            noise=round(10 * grow),
            sample=0.8 + 0.4 * level,
            neuron=1.5 + 0.5 * level,
        )


@dataclass(frozen=True)
class FiniteRank:
    """The singular values θ of the finite-rank part, descending, and how its right vectors overlap with the target.

    Attributes:
        strengths: every θ_j ≥ 0.1, shape (k,).
        overlaps: ⟨q_j, β⟩² for each, shape (k,).
        strength_errors: bounds on the numerical error, shape (k,).
        overlap_errors: the same for the overlaps.
    """

    strengths: Array
    overlaps: Array
    strength_errors: Array
    overlap_errors: Array


def finite_rank(setup: Setup, tolerance: float) -> FiniteRank:
    """The finite-rank part at setup.sizes.width, to a relative tolerance.

    Raises:
        ToleranceNotMet: if refining the quadrature does not reach the tolerance.
    """
    stats = statistics(setup)
    width = int(setup.sizes.width)
    steps = [setup.training.step_size(t, width) for t in range(setup.training.steps)]
    if len(steps) == 1:
        return _one_step(stats, width, steps[0])
    previous = None
    for level in range(LEVELS):
        current = _decompose(setup, stats, width, steps, Resolution.level(level))
        if previous is not None:
            found = _compare(previous, current)
            if np.all(found.strength_errors <= tolerance * found.strengths) and np.all(
                found.overlap_errors <= tolerance
            ):
                return found
        previous = current
    raise ToleranceNotMet(
        f"the prediction at width {width} did not reach the tolerance {tolerance:g}; "
        "ask for a larger one (theory.tolerance)"
    )


def _one_step(stats: Statistics, width: int, step: float) -> FiniteRank:
    strength = math.sqrt(width) * step * abs(stats.mu1) * stats.tau
    relative = 4 * stats.error / max(abs(stats.mu1), 1e-300) + 2 * stats.error / stats.tau**2 + 8 * EPSILON
    overlap = (stats.c1 / stats.tau) ** 2
    keep = slice(0, 1 if strength >= SMALLEST else 0)
    return FiniteRank(
        np.array([strength])[keep],
        np.array([overlap])[keep],
        np.array([strength * relative])[keep],
        np.array([4 * stats.error / stats.tau**2 + 8 * EPSILON])[keep],
    )


def _compare(coarse: tuple[Array, Array], fine: tuple[Array, Array]) -> FiniteRank:
    """Two levels against each other: the finer one's numbers, the differences as their errors."""
    (theta0, overlap0), (theta1, overlap1) = coarse, fine
    count = int(np.sum(theta1 >= SMALLEST))
    size = max(count, 1)
    padded0, padded1 = np.zeros(size), np.zeros(size)
    padded0[: min(size, theta0.size)] = overlap0[:size]
    padded1[: min(size, theta1.size)] = overlap1[:size]
    coarse_theta = np.zeros(size)
    coarse_theta[: min(size, theta0.size)] = theta0[:size]
    rounding = 64 * EPSILON * (theta1[0] if theta1.size else 0.0)
    theta = theta1[:count]
    gaps = np.abs(np.diff(np.append(theta1[: count + 1], 0.0)))[:count] + 1e-300
    return FiniteRank(
        theta,
        padded1[:count],
        np.abs(theta - coarse_theta[:count]) + rounding,
        np.abs(padded1 - padded0)[:count] + np.minimum(1.0, 4 * rounding / gaps) + 64 * EPSILON,
    )


def _decompose(
    setup: Setup, stats: Statistics, width: int, steps: list[float], resolution: Resolution
) -> tuple[Array, Array]:
    """The singular values of the finite-rank part and the squared target overlaps, at one level of refinement."""
    reused = setup.training.batches == "reused"
    cut = reused and bool(setup.network.activation.kinks)
    order = resolution.second_layer // 3 if cut else resolution.second_layer
    nodes, weights = second_layer.rule(setup.network.second_layer, order, cut=cut)
    build = _reused_rows if reused else _independent_rows
    vectors, direction = build(setup, stats, steps[0], nodes, weights, resolution)
    rows = nodes[:, None] * (steps[0] * stats.mu1 * direction + steps[1] * vectors)
    scaled = math.sqrt(width) * np.sqrt(weights)[:, None] * rows
    triangle = np.linalg.qr(scaled.T, mode="r") if scaled.shape[1] > scaled.shape[0] else scaled.T
    _, theta, left = np.linalg.svd(triangle)
    reported = theta >= min(SMALLEST, theta[0]) / 2
    return theta[reported], (left[: theta.size][reported] @ scaled[:, 0] / theta[reported]) ** 2


def _independent_rows(
    setup: Setup, stats: Statistics, step: float, nodes: Array, weights: Array, resolution: Resolution
) -> tuple[Array, Array]:
    """X₂^T H/n for each ā and b, as vectors (z, g, then L²(G)), for independent batches."""
    gamma, gamma_weight = rule((), resolution.direction, FARTHEST)
    G = stats.tau * gamma
    value, slope = conditional.independent(setup.network.activation, stats, step * nodes, G, resolution.neuron)
    mean_response = (weights * nodes) @ value if setup.training.loss == "squared" else np.zeros(gamma.size)
    z, conditional_weight = _given_direction(setup, stats, gamma, resolution.sample)
    y = setup.data.target.numpy()(z)
    first = (conditional_weight * y).sum(axis=1)
    second = (conditional_weight * y * y).sum(axis=1) + stats.noise**2
    zy, mean_z = (conditional_weight * z * y).sum(axis=1), stats.c1 * gamma / stats.tau
    along = slope @ (gamma_weight * (zy - mean_response * mean_z))
    on_direction = slope @ (gamma_weight * G * (first - mean_response))
    across = (on_direction - stats.c1 * along) / stats.perpendicular
    residual = np.sqrt(np.maximum(second - 2 * mean_response * first + mean_response**2, 0.0))
    rest = math.sqrt(stats.phi) * slope * residual * np.sqrt(gamma_weight)
    vectors = np.column_stack([along, across, rest])
    direction = np.zeros(vectors.shape[1])
    direction[:2] = stats.c1, stats.perpendicular
    return vectors, direction


def _reused_rows(
    setup: Setup, stats: Statistics, step: float, nodes: Array, weights: Array, resolution: Resolution
) -> tuple[Array, Array]:
    """X^T H/n for each ā and b, as vectors (z, then L²(y, G)), for a reused batch."""
    gamma, gamma_weight = rule((), resolution.direction, FARTHEST)
    z, conditional_weight = _given_direction(setup, stats, gamma, resolution.sample)
    joint_weight = conditional_weight * gamma_weight[:, None]
    label, weight = _with_noise(setup.data.target.numpy()(z), joint_weight, stats, resolution.noise)
    grid = _LabelGrid(label, weight, resolution.label)
    value, slope = conditional.reused(
        setup.network.activation, stats, step * nodes, gamma, grid.nodes, resolution.hidden, resolution.neuron
    )
    response = grid.interpolate(slope)
    residual = label
    if setup.training.loss == "squared":
        residual = label - grid.interpolate(np.einsum("a,agy->gy", weights * nodes, value)[None])[0]
    kept = weight > NEGLIGIBLE
    H = residual[kept] * response[:, kept]
    zed = np.broadcast_to(z[:, :, None], label.shape)[kept]
    G = stats.tau * np.broadcast_to(gamma[:, None, None], label.shape)[kept]
    weight, label = weight[kept], label[kept]
    along = H @ (weight * zed)
    across = (H @ (weight * G) - stats.c1 * along) / stats.perpendicular
    root = math.sqrt(stats.phi) * np.sqrt(weight)
    rest = root * (H + (across / stats.perpendicular)[:, None] * label)
    vectors = np.column_stack([along, rest])
    return vectors, np.concatenate([[stats.c1], root * label])


def _given_direction(setup: Setup, stats: Statistics, gamma: Array, level: float) -> tuple[Array, Array]:
    """Nodes and weights in z given G = τγ, each of shape (len(gamma), m), cut at the kinks of the target."""
    mean, spread = stats.c1 * gamma / stats.tau, stats.perpendicular / stats.tau
    cuts = np.array(setup.data.target.breakpoints)
    reach = 9.0
    if cuts.size == 0:
        t, w = rule((), level, reach)
        return mean[:, None] + spread * t, np.broadcast_to(w, (gamma.size, t.size))
    ends = np.clip((cuts - mean[:, None]) / spread, -reach, reach)
    ends = np.concatenate([np.full((gamma.size, 1), -reach), ends, np.full((gamma.size, 1), reach)], axis=1)
    nodes, weights = legendre(8 + round(4 * level))
    count = 3 + round(level)
    fractions = ((np.arange(count)[:, None] + (nodes + 1) / 2) / count).ravel()
    lengths = np.diff(ends, axis=1)[:, :, None]
    t = (ends[:, :-1, None] + lengths * fractions).reshape(gamma.size, -1)
    w = (lengths * np.tile(weights / (2 * count), count)).reshape(gamma.size, -1) * density(t)
    return mean[:, None] + spread * t, w


def _with_noise(target: Array, weight: Array, stats: Statistics, order: int) -> tuple[Array, Array]:
    """Labels and weights with the noise as a third axis."""
    if stats.noise == 0:
        return target[:, :, None], weight[:, :, None]
    epsilon, w = second_layer.hermite_rule(order)
    return target[:, :, None] + stats.noise * epsilon, weight[:, :, None] * w


class _LabelGrid:
    """Chebyshev interpolation in the label: H depends on y smoothly, and there are far more labels than needed nodes.

    The labels are stretched by y = centre + scale · sinh(t) first, so that the rare large ones of an unbounded target do
    not starve the bulk of nodes.
    """

    def __init__(self, label: Array, weight: Array, order: int) -> None:
        kept = label[weight > 1e-22]
        self.centre = float((weight * label).sum() / weight.sum())
        self.scale = 2 * float(np.sqrt((weight * (label - self.centre) ** 2).sum() / weight.sum())) or 1.0
        low, high = self._stretch(kept.min()), self._stretch(kept.max())
        self.middle, self.half = (high + low) / 2, (high - low) / 2 or 1.0
        self.order = order if high > low else 1
        t = np.cos(np.pi * (np.arange(self.order) + 0.5) / self.order)
        self.nodes: Array = self.centre + self.scale * np.sinh(self.middle + self.half * t)
        x = np.clip((self._stretch(label) - self.middle) / self.half, -1.0, 1.0)
        k = np.arange(self.order)
        from_values = 2.0 / self.order * np.cos(np.outer(k, np.pi * (np.arange(self.order) + 0.5) / self.order))
        from_values[0] /= 2
        self.matrix: Array = np.cos(np.arccos(x)[..., None] * k) @ from_values

    def _stretch(self, label: Array) -> Array:
        return np.asarray(np.arcsinh((label - self.centre) / self.scale))

    def interpolate(self, values: Array) -> Array:
        """From values of shape (a, g, nodes) to the labels, of shape (a, g, ...)."""
        groups = self.matrix.shape[0]
        flat = self.matrix.reshape(groups, -1, self.order)
        result = np.matmul(flat, values.transpose(1, 2, 0)).transpose(2, 0, 1)
        return result.reshape(values.shape[0], *self.matrix.shape[:-1])
