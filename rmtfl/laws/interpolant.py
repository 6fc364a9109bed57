"""Many densities at once: a piecewise Chebyshev interpolant of a generalized Marchenko-Pastur law.

On a bulk [a, b] put x = a + (b - a) sin²(θ/2), θ measured from the nearer end. Then R(θ) = x density(x) /
sqrt((x - a)(b - x)) is analytic on [0, π/2] and positive: the edges' square roots are in the prefactor,
which is formed from x - a and b - x in double-double. R is interpolated at Chebyshev points on panels that
are halved until its last coefficients are small; near a narrow gap the panels shrink geometrically. A
narrow bridge (a minimum of Φ just above 1) is an end of its own: the bulk is cut there, without a square
root, since doubles in the bulk's own θ do not resolve a density that changes within an ulp of x. Each
panel's error is the larger of its tail and of four times its largest miss at points between the nodes,
where it is compared with the certified density.

Where it breaks down: a panel that has been halved `DEPTH` times is evaluated directly. Checked in
tests/laws/test_interpolant.py against the direct path through the same interface, and against certified
roots.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rmtfl.laws.base import Evaluation, Floats
from rmtfl.laws.branch import Target
from rmtfl.laws.doubledouble import DoubleDouble
from rmtfl.laws.edges import blocks
from rmtfl.laws.forward import Indices
from rmtfl.laws.generalized import GeneralizedMarchenkoPastur, count_below

#: Chebyshev points a panel: with 24, panels of a smooth law reach rounding level without being halved.
NODES = 24

#: Halvings after which a panel is left to direct evaluation: θ is then below 1e-12.
DEPTH = 44

#: Relative size of the last three coefficients at which a panel is accepted.
TAIL = 1e-13

#: A bulk is cut where Φ - 1 at a minimum is below this: the nearest singularity is then at about its power
#: 3/2.
BRIDGE = 0.01

#: Coefficients below this, relative to the first, are dropped: two roundings.
NEGLIGIBLE = 2e-16

#: Points that are evaluated at once: 64 kB an array.
BLOCK = 8192

#: Where each panel is compared with the direct density: between nodes, not symmetric.
CHECKS = np.array([-0.97, -0.31, 0.52, 0.985])

_PHASE = np.pi * (np.arange(NODES) + 0.5) / NODES
_POINTS = np.cos(_PHASE)
_TO_COEFFICIENTS = 2 / NODES * np.cos(np.outer(np.arange(NODES), _PHASE))
_TO_COEFFICIENTS[0] /= 2


class Interpolant:
    """Densities of a law through piecewise Chebyshev interpolation.

    Args:
        law: The law; its panels are built here, once.
    """

    def __init__(self, law: GeneralizedMarchenkoPastur) -> None:
        self.law = law
        branch = law.branch
        cut = (-branch.slope.hi < BRIDGE) | branch.critical
        anchors = np.flatnonzero(cut)
        place, bulk, edge = branch.image[cut], branch.bulk[cut], branch.critical[cut]
        same = np.flatnonzero(bulk[1:] == bulk[:-1])
        self.low, self.high, self.owner = place[same], place[same + 1], bulk[same]
        self.anchors = np.stack([anchors[same], anchors[same + 1]], 1)
        self.low_edge, self.high_edge = edge[same], edge[same + 1]
        self.width = self.high - self.low
        self.ends = place[np.stack([same, same + 1], 1).ravel()]
        count = same.size
        # A half is 2 piece + (0: measured from the lower end, 1: from the upper one).
        half, start, stop = np.arange(2 * count), np.zeros(2 * count), np.full(2 * count, np.pi / 2)
        done: list[tuple[NDArray[Any], ...]] = []
        for depth in range(DEPTH + 1):
            value, noise = self._regular(half, start, stop, _POINTS)
            coefficients = value @ _TO_COEFFICIENTS.T
            tail = np.abs(coefficients[:, -3:]).max(1) / np.abs(coefficients[:, 0])
            good = tail <= np.maximum(TAIL, noise.max(1))
            keep = good | (depth == DEPTH)
            columns = (half, start, stop, coefficients, ~good, 4 * tail + noise.max(1))
            done.append(tuple(column[keep] for column in columns))
            if keep.all():
                break
            half, start, stop = half[~keep], start[~keep], stop[~keep]
            middle = 0.5 * (start + stop)
            half = np.concatenate([half, half])
            start, stop = np.concatenate([start, middle]), np.concatenate([middle, stop])
        joined = [np.concatenate(parts) for parts in zip(*done, strict=True)]
        order = np.lexsort((joined[1], joined[0]))
        self.half, self.start, self.stop, coefficients, self.direct, self.error = (c[order] for c in joined)
        self.coefficients = np.ascontiguousarray(coefficients.T)
        self.scale = 2 / (self.stop - self.start)
        # Rows that are rounding in every panel are not worth evaluating.
        size = np.abs(self.coefficients / self.coefficients[0]).max(1)
        self.coefficients = self.coefficients[: max(2, int(np.flatnonzero(size > NEGLIGIBLE)[-1]) + 1)]
        self._check()

    def _regular(self, half: Indices, start: Floats, stop: Floats, nodes: Floats) -> tuple[Floats, Floats]:
        """Return R and its relative error at the given nodes of each panel, shape (panels, points)."""
        angle = 0.5 * (start + stop)[:, None] + 0.5 * (stop - start)[:, None] * nodes
        which, upper = np.repeat(half // 2, nodes.size), np.repeat(half % 2 == 1, nodes.size)
        near, far = np.sin(angle.ravel() / 2) ** 2, np.cos(angle.ravel() / 2) ** 2
        width = self.width.to_float()[which]
        distance = width * np.where(upper, -near, near)
        base = self.anchors[which, upper.astype(int)]
        at = Target(DoubleDouble(distance), np.zeros(which.size), base)
        x = self.law.branch.image.hi[base] + distance
        value, error = np.empty(which.size), np.empty(which.size)
        for part in blocks(which.size, self.law.forward.atoms.size):
            found = self.law.evaluate_inside(at[part], self.owner[which[part]])
            value[part], error[part] = found.value, found.error
        low, high = width * np.where(upper, far, near), width * np.where(upper, near, far)
        value = value * x / self._roots(which, low, high)
        return value.reshape(angle.shape), error.reshape(angle.shape)

    def _roots(self, piece: Indices, low: Floats, high: Floats) -> Floats:
        """Return the square roots of the distances to those ends that are edges."""
        if self.low_edge.all() and self.high_edge.all():
            return np.asarray(np.sqrt(low) * np.sqrt(high))
        left, right = self.low_edge[piece], self.high_edge[piece]
        return np.asarray(np.where(left, np.sqrt(low), 1.0) * np.where(right, np.sqrt(high), 1.0))

    def _check(self) -> None:
        """Compare every panel with direct densities between its nodes."""
        true, noise = self._regular(self.half, self.start, self.stop, CHECKS)
        panel = np.repeat(np.arange(self.half.size), CHECKS.size)
        own = self._clenshaw(panel, np.tile(CHECKS, self.half.size)).reshape(true.shape)
        miss = np.max(4 * np.abs(own / true - 1) + noise, axis=1)
        self.error = np.maximum(self.error, miss)

    def _clenshaw(self, panel: Indices, t: Floats) -> Floats:
        one, two = np.zeros_like(t), np.zeros_like(t)
        twice = 2 * t
        for row in self.coefficients[:0:-1]:
            one, two = row[panel] + twice * one - two, one
        return np.asarray(self.coefficients[0][panel] + t * one - two)

    def evaluate(self, x: ArrayLike) -> Evaluation:
        """Return the density at real x, any shape, with an estimate of each relative error.

        Raises:
            BadInput: If a point is not finite.
            ToleranceNotMet: If a point left to direct evaluation could not be certified.
        """
        points = np.asarray(x, float)
        flat = points.ravel()
        value, error = np.zeros(flat.shape), np.zeros(flat.shape)
        # Blocks that stay in the cache, for all the temporaries' sake.
        for start in range(0, flat.size, BLOCK):
            part = slice(start, start + BLOCK)
            value[part], error[part] = self._block(flat[part])
        return Evaluation(value.reshape(points.shape), error.reshape(points.shape))

    def _block(self, x: Floats) -> tuple[Floats, Floats]:
        value, error = np.zeros(x.shape), np.zeros(x.shape)
        count = self.law.locate(x)
        inside = np.flatnonzero(self.law.inside(x, count))
        if inside.size == 0:
            return value, error
        x = x[inside]
        whole = self.low_edge.all() and self.high_edge.all()
        piece = (count[inside] if whole else np.maximum(count_below(x, self.ends) - 1, 0)) // 2
        # x - hi is exact next to the end, so that subtracting lo from it leaves one rounding.
        low = (x - self.low.hi[piece]) - self.low.lo[piece]
        high = (self.high.hi[piece] - x) + self.high.lo[piece]
        upper = high < low
        angle = 2 * np.arctan(np.sqrt(np.where(upper, high, low) / np.where(upper, low, high)))
        half = 2 * piece + upper
        # Panels are sorted by (half, angle); 4 > π/2 keeps the halves apart in one key.
        panel = np.searchsorted(4.0 * self.half + self.start, 4.0 * half + angle, side="right") - 1
        panel = np.where(self.half[panel] < half, panel + 1, panel)
        t = np.clip((angle - self.start[panel]) * self.scale[panel] - 1, -1.0, 1.0)
        value[inside] = self._clenshaw(panel, t) * self._roots(piece, low, high) / x
        error[inside] = self.error[panel]
        direct = self.direct[panel]
        if direct.any():
            found = self.law.evaluate(x[direct])
            value[inside[direct]], error[inside[direct]] = found.value, found.error
        return value, error

    def density(self, x: ArrayLike) -> Floats:
        """Return the density at real x, any shape; see `evaluate` for its error."""
        return self.evaluate(x).value
