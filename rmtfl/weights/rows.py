"""The mean update of a neuron, as explicit vectors whose inner products are the Gram products of theory/two-step.md.

For each ā the second step moves a neuron along V(ā) = X₂^T H_ā/n with H_ā = r E σ'(h⁽¹⁾), and the first along b. Their
Gram products (`two-step.gram`) are those of the vectors

    reused        X^T H/n ↔ (E[zH]; √φ (H + q_H y)),       b ↔ (c₁; √φ y)           in R ⊕ L²(y, G)
    independent   X^T H/n ↔ (E[zH], E[gH]; √φ H),          b ↔ (c₁, √(φ m₂); 0)     in R² ⊕ L²(y, G)

with g the standardised part of G across z and q_H = E[gH]/√(φ m₂). The first coordinate is the overlap with the target.
As functions of ā the V(ā) span few dimensions: they are compressed to V(ā) = Σ_r U_r(ā) V_r before anything large is
formed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rmtfl.errors import ToleranceNotMet
from rmtfl.gaussian import density, legendre, rule
from rmtfl.links import Link
from rmtfl.setup import Setup
from rmtfl.weights import conditional
from rmtfl.weights.second_layer import hermite_rule
from rmtfl.weights.statistics import Statistics

Array = NDArray[np.float64]

FARTHEST = 8.5  # of a standardised Gaussian variable: what lies beyond weighs 1e-16
NEGLIGIBLE = 1e-18  # weight of a quadrature node in (z, G, noise) that is left out
COMPRESSION = 1e-15  # relative size of the directions in ā that are left out: below rounding


@dataclass(frozen=True)
class Resolution:
    """How finely each variable is resolved: orders of Gauss rules, and levels of the rules refined by steps.

    Attributes:
        second_layer: nodes in ā, on either side of zero if the rule is cut there.
        direction: level of the rule in G.
        hidden: nodes in w = μ₁ G + ξ.
        label: nodes of the interpolation in y.
        noise: nodes in the label noise.
        sample: level of the rule in z given G.
        neuron: level of the rule in h.
    """

    second_layer: int
    direction: float
    hidden: int
    label: int
    noise: int
    sample: float
    neuron: float

    @classmethod
    def at(cls, levels: NDArray[np.int_], kinked: bool = False) -> Resolution:
        """The resolution at given levels, one a field; all zero suits step sizes below one.

        A kinked activation needs more in G, where only the neuron-specific noise smooths its kinks, and less elsewhere.
        """
        grow = 1.25**levels
        if kinked:
            return cls(
                second_layer=round(26 * 1.45 ** levels[0]),
                direction=0.45 + 0.2 * float(levels[1]),
                hidden=2,
                label=round(24 * grow[3]),
                noise=round(10 * grow[4]),
                sample=1.0 + 0.4 * float(levels[5]),
                neuron=1.2 + 0.4 * float(levels[6]),
            )
        return cls(
            second_layer=round(60 * grow[0]),
            direction=0.25 * float(levels[1]),
            hidden=round(36 * grow[2]),
            label=round(27 * grow[3]),
            noise=round(10 * grow[4]),
            sample=0.8 + 0.4 * float(levels[5]),
            neuron=1.6 + 0.5 * float(levels[6]),
        )


FIELDS = 7  # of a resolution


@dataclass(frozen=True)
class Rows:
    """V(ā_i) = Σ_r mixing[i, r] vectors[r], beside b and X₂^T r/n; the first coordinate is along the target."""

    mixing: Array
    vectors: Array
    direction: Array
    residual: Array


def build(setup: Setup, stats: Statistics, step: float, nodes: Array, weights: Array, resolution: Resolution) -> Rows:
    """The rows for second-layer values `nodes` with weights summing to 1, after a first step of size `step`."""
    if setup.training.batches == "reused":
        return _reused(setup, stats, step, nodes, weights, resolution)
    return _independent(setup, stats, step, nodes, weights, resolution)


def _independent(
    setup: Setup, stats: Statistics, step: float, nodes: Array, weights: Array, resolution: Resolution
) -> Rows:
    gamma, gamma_weight = rule((), resolution.direction, FARTHEST)
    G = stats.tau * gamma
    value, slope = conditional.independent(setup.network.activation, stats, step * nodes, G, resolution.neuron)
    response = (weights * nodes) @ value if setup.training.loss == "squared" else np.zeros(gamma.size)
    mixing, basis = _compressed(slope)
    functions = np.vstack([basis, np.ones(gamma.size)])
    z, weight = _given_direction(setup, stats, gamma, resolution.sample)
    y = setup.data.target.numpy()(z)
    first, second = (weight * y).sum(axis=1), (weight * y * y).sum(axis=1) + stats.noise**2
    zy, mean_z = (weight * z * y).sum(axis=1), stats.c1 * gamma / stats.tau
    along = functions @ (gamma_weight * (zy - response * mean_z))
    across = (functions @ (gamma_weight * G * (first - response)) - stats.c1 * along) / stats.perpendicular
    residual = np.sqrt(np.maximum(second - 2 * response * first + response**2, 0.0))
    rest = math.sqrt(stats.phi) * functions * residual * np.sqrt(gamma_weight)
    vectors = np.column_stack([along, across, rest])
    direction = np.zeros(vectors.shape[1])
    direction[:2] = stats.c1, stats.perpendicular
    return Rows(mixing, vectors[:-1], direction, vectors[-1])


def _reused(setup: Setup, stats: Statistics, step: float, nodes: Array, weights: Array, resolution: Resolution) -> Rows:
    frame = ReusedFrame(setup, stats, resolution)
    value, slope = conditional.reused(
        setup.network.activation,
        stats,
        step * nodes,
        frame.gamma,
        frame.grid.nodes,
        resolution.hidden,
        resolution.neuron,
    )
    mixing, basis = _compressed(slope)
    residual = frame.label
    if setup.training.loss == "squared":
        residual = residual - frame.grid.interpolate(np.tensordot(weights * nodes, value, axes=1)[None])[0]
    vectors, direction = frame.vectors(np.concatenate([basis, np.ones((1, *basis.shape[1:]))]), residual)
    return Rows(mixing, vectors[:-1], direction, vectors[-1])


class ReusedFrame:
    """The nodes in (z, G, y) of a reused batch, and the vectors that functions of (y, G) become on them.

    Attributes:
        gamma: nodes in G/τ, shape (g,).
        label: labels, shape (g, z, noise).
        grid: the interpolation in the label; functions are given at its nodes, shape (..., g, nodes).
    """

    def __init__(self, setup: Setup, stats: Statistics, resolution: Resolution) -> None:
        self.stats = stats
        self.gamma, gamma_weight = rule((), resolution.direction, FARTHEST)
        z, weight = _given_direction(setup, stats, self.gamma, resolution.sample)
        self.label, self.weight = _with_noise(
            setup.data.target.numpy()(z), weight * gamma_weight[:, None], stats, resolution.noise
        )
        self.z = np.broadcast_to(z[:, :, None], self.label.shape)
        self.grid = LabelGrid(self.label, self.weight, resolution.label)

    def vectors(self, functions: Array, residual: Array) -> tuple[Array, Array]:
        """X^T H/n for each H = residual · function, shape (r, D), and b, shape (D,)."""
        stats, kept = self.stats, self.weight > NEGLIGIBLE
        H = residual[kept] * self.grid.interpolate(functions)[:, kept]
        G = stats.tau * np.broadcast_to(self.gamma[:, None, None], self.label.shape)[kept]
        weight, label = self.weight[kept], self.label[kept]
        along = H @ (weight * self.z[kept])
        across = (H @ (weight * G) - stats.c1 * along) / stats.perpendicular
        root = math.sqrt(stats.phi) * np.sqrt(weight)
        rest = root * (H + (across / stats.perpendicular)[:, None] * label)
        return np.column_stack([along, rest]), np.concatenate([[stats.c1], root * label])


def _compressed(values: Array) -> tuple[Array, Array]:
    """Values of shape (a, ...) as mixing (a, r) times an orthogonal basis (r, ...), to rounding."""
    flat = values.reshape(values.shape[0], -1)
    if not np.all(np.isfinite(flat)):
        raise ToleranceNotMet(
            "the activation overflows doubles after the first step: it grows too fast, at any tolerance"
        )
    left, singular, right = np.linalg.svd(flat, full_matrices=False)
    rank = max(1, int(np.sum(singular > COMPRESSION * singular[0])))
    basis = singular[:rank, None] * right[:rank]
    return left[:, :rank], basis.reshape(rank, *values.shape[1:])


def _given_direction(setup: Setup, stats: Statistics, gamma: Array, level: float) -> tuple[Array, Array]:
    """Nodes and weights in z given G = τγ, each of shape (len(gamma), m), cut at the kinks of the target."""
    return labels_given(setup.data.target, stats.c1 * gamma / stats.tau, stats.perpendicular / stats.tau, level)


def labels_given(target: Link, mean: Array, spread: float, level: float) -> tuple[Array, Array]:
    """Nodes and weights in z ~ N(mean, spread²), each of shape (len(mean), m), cut at the kinks of the target."""
    cuts = np.array(target.breakpoints)
    reach = 9.0
    if cuts.size == 0:
        t, w = rule((), level, reach)
        return mean[:, None] + spread * t, np.broadcast_to(w, (mean.size, t.size))
    ends = np.clip((cuts - mean[:, None]) / spread, -reach, reach)
    ends = np.concatenate([np.full((mean.size, 1), -reach), ends, np.full((mean.size, 1), reach)], axis=1)
    nodes, weights = legendre(8 + round(4 * level))
    count = 3 + round(level)
    fractions = ((np.arange(count)[:, None] + (nodes + 1) / 2) / count).ravel()
    lengths = np.diff(ends, axis=1)[:, :, None]
    t = (ends[:, :-1, None] + lengths * fractions).reshape(mean.size, -1)
    w = (lengths * np.tile(weights / (2 * count), count)).reshape(mean.size, -1) * density(t)
    return mean[:, None] + spread * t, w


def _with_noise(target: Array, weight: Array, stats: Statistics, order: int) -> tuple[Array, Array]:
    """Labels and weights with the noise as a third axis."""
    if stats.noise == 0:
        return target[:, :, None], weight[:, :, None]
    epsilon, w = hermite_rule(order)
    return target[:, :, None] + stats.noise * epsilon, weight[:, :, None] * w


class LabelGrid:
    """Chebyshev interpolation in the label: H depends on y smoothly, and there are far more labels than needed nodes.

    The labels are stretched by y = centre + scale · sinh(t) first, so that the rare large ones of an unbounded target
    do not starve the bulk of nodes.
    """

    def __init__(self, label: Array, weight: Array, order: int) -> None:
        kept = label[weight > NEGLIGIBLE]
        self.centre = float((weight * label).sum() / weight.sum())
        self.scale = 2 * float(np.sqrt((weight * (label - self.centre) ** 2).sum() / weight.sum())) or 1.0
        low, high = self._stretch(kept.min()), self._stretch(kept.max())
        self.middle, self.half = (high + low) / 2, (high - low) / 2 or 1.0
        angles = np.pi * (np.arange(order) + 0.5) / order
        self.nodes: Array = self.centre + self.scale * np.sinh(self.middle + self.half * np.cos(angles))
        k = np.arange(order)
        from_values = 2.0 / order * np.cos(np.outer(k, angles))
        from_values[0] /= 2
        x = np.clip((self._stretch(label) - self.middle) / self.half, -1.0, 1.0)
        self.matrix: Array = np.cos(np.arccos(x)[..., None] * k) @ from_values

    def _stretch(self, label: Array) -> Array:
        return np.asarray(np.arcsinh((label - self.centre) / self.scale))

    def interpolate(self, values: Array) -> Array:
        """From values of shape (r, g, nodes) to the labels, of shape (r, g, ...)."""
        groups, order = self.matrix.shape[0], self.matrix.shape[-1]
        flat = self.matrix.reshape(groups, -1, order)
        result = np.matmul(flat, values.transpose(1, 2, 0)).transpose(2, 0, 1)
        return np.asarray(result.reshape(values.shape[0], *self.matrix.shape[:-1]))
