"""The mean rows after any number of steps on independent batches, as a recursion over steps.

After t steps a neuron of second-layer weight a is Ψ_t(a) + noise. It sees a sample x of the next batch through a
Gaussian of mean m_a = ⟨Ψ_t(a), x⟩ and variance τ_t(a). With f̄ = E_a[a E σ(m_a + √τ_a ξ)], r = y − f̄ (or y) and
H_a = r E σ'(m_a + √τ_a ξ), a step of size s makes (theory/many-steps.md, `many-steps.recursion`)

    Ψ_{t+1}(a) = Ψ_t(a) + s a X^T H_a/n,    X^T H/n ↔ (E[u H], E[g H]; √φ H),
    τ_{t+1}(a) = τ_t(a) (1 + s a E[r E σ''])² + s² a² φ E[r² Var_ξ σ'(m_a + √τ_a ξ)],

u being the coordinates of x in the span of the rows Ψ_t, g that along what is left of the target, and the rest in L² of
the batch. The rows are held in explicit coordinates, and nothing is squared: see `rmtfl.weights.rows`.

Along most of u the rows are small: Gauss rules of few nodes, or a star of two nodes an axis, integrate over it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import make_interp_spline

from rmtfl.errors import ToleranceNotMet
from rmtfl.gaussian import rule
from rmtfl.setup import Setup
from rmtfl.weights import second_layer
from rmtfl.weights.averages import averages
from rmtfl.weights.rows import labels_given
from rmtfl.weights.second_layer import hermite_rule
from rmtfl.weights.statistics import Statistics

Array = NDArray[np.float64]

FARTHEST = 8.5  # of a standardised Gaussian variable: what lies beyond weighs 1e-16
NEGLIGIBLE = 1e-17  # weight of a node that is left out
UNSEEN = 1e-7  # overlap of the rows with the target below which labels do not depend on what the rows see
STAR = 0.05  # times the cube root of the error aimed at: an axis with less of the rows is left to the star
STAR_ERROR = 250.0  # times the cube of how far the rows move there: its error, measured
SPANNED = 2e-4  # times its square root: an axis along which a step makes spikes weaker than this is left out
ROUNDING = 1e-14  # relative
SPLINE_ORDER = 7
BLOCK = 1 << 18  # values of one function at once
WORK = 4e7  # values of one function in one step: some ten seconds


@dataclass(frozen=True)
class Resolution:
    """How finely each variable is resolved.

    Attributes:
        second_layer: nodes in a.
        frame: relative error aimed at by the rules in u.
        label: step of the rule along the target's projection, in units of what the labels vary on.
        table: step of the table of averages over ξ, in units of √τ.
        sample: level of the rule in the rest of z.
    """

    second_layer: int
    frame: float
    label: float
    table: float
    sample: float

    @classmethod
    def at(cls, level: int) -> Resolution:
        """The resolution at a level, from 0."""
        return cls(
            second_layer=round(36 * 1.25**level),
            frame=10.0 ** (-2 - level),
            label=0.7 * 0.75**level,
            table=0.25 * 0.8**level,
            sample=0.5 + 0.5 * level,
        )


@dataclass(frozen=True)
class Rows:
    """Mean rows Ψ(a) at the nodes in a, and the noise about them.

    Attributes:
        nodes: second-layer weights, shape (k,).
        weights: of these nodes, summing to 1.
        vectors: Ψ(a) in orthonormal coordinates, shape (k, D).
        target: β in the same coordinates, shape (D,).
        variance: τ(a), shape (k,).
        unresolved: a bound on what the stars and the axes left out change in the rows: what all resolutions of a few
            levels have in common.
    """

    nodes: Array
    weights: Array
    vectors: Array
    target: Array
    variance: Array
    unresolved: float = 0.0


def rows(setup: Setup, stats: Statistics, width: int, resolution: Resolution) -> Rows:
    """The mean rows after the last step.

    Raises:
        ToleranceNotMet: if they take too much work at this resolution, or leave the range of doubles.
    """
    a, weights = second_layer.rule(setup.network.second_layer, resolution.second_layer)
    current = Rows(a, weights, np.zeros((a.size, 1)), np.ones(1), np.ones(a.size))
    sizes = [setup.training.step_size(step, width) for step in range(setup.training.steps)]
    for step in range(len(sizes)):
        with np.errstate(over="ignore", invalid="ignore"):  # an overflow is refused below
            frame = _Frame(current, math.sqrt(width) * max(sizes[step:]), resolution)
            current = _stepped(setup, stats, sizes[step], current, frame, resolution)
        if not (np.all(np.isfinite(current.vectors)) and np.all(np.isfinite(current.variance))):
            raise ToleranceNotMet(
                f"the activation overflows doubles in step {step + 1}: it grows too fast, at any tolerance"
            )
    return current


def _stepped(setup: Setup, stats: Statistics, step: float, old: Rows, frame: _Frame, resolution: Resolution) -> Rows:
    """The rows after one more step."""
    along = np.zeros((old.nodes.size, frame.axes.shape[1]))
    across, slope, rest = np.zeros((3, old.nodes.size))
    triangle = np.zeros((0, old.nodes.size))
    table = _Table(setup, old, frame, resolution)
    squared = setup.training.loss == "squared"
    for u, weight in frame.blocks():
        mean, square, outside = _label_moments(setup, stats, frame, u, resolution)
        f, df, ddf, df2 = table.at(frame.coefficients @ u.T)
        output = (old.weights * old.nodes) @ f if squared else np.zeros(weight.size)
        residual = np.maximum(square - 2 * output * mean + output**2, 0.0)
        along += df @ ((weight * (mean - output))[:, None] * u)
        across += df @ (weight * outside)
        slope += ddf @ (weight * (mean - output))
        rest += (df2 - df * df) @ (weight * residual)
        noise = df * np.sqrt(weight * residual)
        triangle = np.asarray(np.linalg.qr(np.vstack([triangle, noise.T]), mode="r"))
    shift = step * old.nodes
    moved = along @ frame.axes.T + np.multiply.outer(across, frame.rest)
    vectors = np.hstack([old.vectors + shift[:, None] * moved, math.sqrt(stats.phi) * shift[:, None] * triangle.T])
    target = np.concatenate([old.target, np.zeros(triangle.shape[0])])
    compressed = np.asarray(np.linalg.qr(np.vstack([target, vectors]).T, mode="r")).T
    variance = old.variance * (1 + shift * slope) ** 2 + shift**2 * stats.phi * np.maximum(rest, 0.0)
    unresolved = old.unresolved + step * (STAR_ERROR * frame.star**3 + frame.left_out)
    return Rows(old.nodes, old.weights, compressed[1:], compressed[0], variance, unresolved)


class _Frame:
    """Orthonormal axes of what the rows span, that of the target's projection first, and a rule in the coordinates u.

    Attributes:
        axes: shape (D, R).
        coefficients: of the rows along the axes, shape (k, R).
        seen: norm of the target's projection; 0 where there is none, and then no axis is singled out.
        unseen: √(1 − seen²).
        rest: the unit vector along what is left of the target, shape (D,).
        u: nodes in the coordinates along the axes, shape (p, R).
        weight: of these nodes, shape (p,).
        star: how far the rows move along the axes that are left to the star.
        left_out: the same for an axis that is left out.

    `strength` is √N s, of the strongest step to come.
    """

    def __init__(self, rows: Rows, strength: float, resolution: Resolution) -> None:
        weighted = np.sqrt(rows.weights)[:, None] * rows.vectors
        smallest = SPANNED * math.sqrt(resolution.frame) / strength
        span = _principal(weighted, smallest)
        projection = span @ (span.T @ rows.target)
        self.seen = float(np.linalg.norm(projection))
        rest = rows.target - projection
        if self.seen > UNSEEN:
            first = projection / self.seen
            across = weighted - np.multiply.outer(weighted @ first, first)
            others = _principal(across, smallest)[:, : span.shape[1] - 1]
            self.axes = np.column_stack([first, others])
        else:
            self.seen, self.axes, rest = 0.0, span, rows.target
        self.unseen = float(np.linalg.norm(rest))
        self.rest = rest / self.unseen
        self.coefficients = rows.vectors @ self.axes
        self.left_out = smallest
        self.u, self.weight = self._rule(np.sqrt(rows.weights @ self.coefficients**2), resolution)

    def blocks(self) -> Iterator[tuple[Array, Array]]:
        """The nodes and weights in blocks whose functions fit the cache."""
        size = max(1, BLOCK // self.coefficients.shape[0])
        for start in range(0, self.weight.size, size):
            yield self.u[start : start + size], self.weight[start : start + size]

    def _rule(self, sizes: Array, resolution: Resolution) -> tuple[Array, Array]:
        u, weight = np.zeros((1, 0)), np.ones(1)
        aim = resolution.frame
        star = []
        for axis, size in enumerate(sizes.tolist()):
            if axis == 0:  # the one that labels depend on, or else the longest
                step = resolution.label * min(1.0, self.unseen / max(self.seen, UNSEEN), 1 / size)
                self._check_work(2 * FARTHEST / step)
                nodes, node_weights = rule((), math.log(step / 0.5) / math.log(0.6), FARTHEST)
            elif size > STAR * aim ** (1 / 3):
                count = math.ceil(-math.log(aim) / (2 * math.log1p(1 / (6 * size))))
                self._check_work(weight.size * count)
                nodes, node_weights = hermite_rule(max(3, count))
            else:
                star.append(axis)
                continue
            u, weight = self._product(u, weight, nodes[:, None], node_weights)
        self.star = float(np.linalg.norm(sizes[star]))
        if star:
            # Exact to third degree, with errors of order λ³; shares so that rows move as far along every axis.
            share = (sizes[star] / self.star) ** 2
            tips = np.diag(1 / np.sqrt(share))
            u, weight = self._product(u, weight, np.vstack([tips, -tips]), np.tile(share / 2, 2))
        order = [axis for axis in range(sizes.size) if axis not in star] + star
        return u[:, np.argsort(order)], weight

    def _product(self, u: Array, weight: Array, v: Array, other: Array) -> tuple[Array, Array]:
        """The product of two rules, without nodes of negligible weight."""
        self._check_work(weight.size * other.size)
        weights = np.multiply.outer(weight, other).ravel()
        both = np.hstack([np.repeat(u, v.shape[0], axis=0), np.tile(v, (u.shape[0], 1))])
        kept = weights > NEGLIGIBLE
        return both[kept], weights[kept]

    def _check_work(self, nodes: float) -> None:
        """Refuse more nodes than are affordable."""
        if nodes * self.coefficients.shape[0] > WORK:
            raise ToleranceNotMet(
                "the recursion over the steps takes too much work at this tolerance; ask for a larger theory.tolerance"
            )


def _principal(vectors: Array, smallest: float) -> Array:
    """Orthonormal columns spanning the rows given, but for singular values that are too small or rounding."""
    _, sizes, right = np.linalg.svd(vectors, full_matrices=False)
    return np.asarray(right[sizes > max(smallest, ROUNDING * sizes[0])].T)


class _Table:
    """The averages over ξ as functions of m: one spline a node in a."""

    def __init__(self, setup: Setup, rows: Rows, frame: _Frame, resolution: Resolution) -> None:
        reach = np.max([np.abs(frame.coefficients @ u.T).max(axis=1) for u, _ in frame.blocks()], axis=0)
        self.splines = []
        for farthest, variance in zip(reach.tolist(), rows.variance.tolist(), strict=True):
            spread = math.sqrt(variance)
            count = math.ceil(farthest / (resolution.table * spread)) + SPLINE_ORDER
            m = np.linspace(-count, count, 2 * count + 1) * resolution.table * spread
            values = averages(setup.network.activation, m, spread)
            self.splines.append(make_interp_spline(m, values.T, k=SPLINE_ORDER))

    def at(self, m: Array) -> Array:
        """(E σ, E σ', E σ'', E σ'²) at m + √τ_a ξ for m of shape (k, p), of shape (4, k, p)."""
        return np.stack([spline(row) for spline, row in zip(self.splines, m, strict=True)]).transpose(2, 0, 1)


def _label_moments(
    setup: Setup, stats: Statistics, frame: _Frame, u: Array, resolution: Resolution
) -> tuple[Array, Array, Array]:
    """E y, E y² and E[g y] given u, g being the coordinate along what is left of the target."""
    mean = frame.seen * u[:, 0] if frame.seen else np.zeros(u.shape[0])
    values, index = np.unique(mean, return_inverse=True)
    z, weight = labels_given(setup.data.target, values, frame.unseen, resolution.sample)
    y = setup.data.target.numpy()(z)
    g = (z - values[:, None]) / frame.unseen
    first, second = (weight * y).sum(axis=1), (weight * y * y).sum(axis=1) + stats.noise**2
    return first[index], second[index], (weight * g * y).sum(axis=1)[index]
