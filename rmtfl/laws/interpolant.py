"""Many densities at once: a piecewise Chebyshev interpolant of a generalized Marchenko-Pastur law.

On a bulk [a, b] R(x) = x density(x)/sqrt((x - a)(b - x)) is analytic and positive, edges included: Im u is odd and |u|²
even in the sheet that the square root changes. Either half of the bulk is cut into panels in the distance from its end,
formed from x and the end in double-double, so that the prefactor and the place in a panel keep their relative accuracy;
panels are halved until the last of R's Chebyshev coefficients are small, and shrink geometrically towards a narrow gap.
A narrow bridge (a minimum of Φ just above 1) is an end of its own: the bulk is cut there, without a square root, since
doubles do not resolve a density that changes within an ulp of x. Each panel's error is the larger of its tail and of
four times its largest miss at points between the nodes, where it is compared with the certified density.

Points are sorted (where they are not already), so that those of a panel are one stretch of memory and Horner's rule has
numbers for coefficients; the powers are stable, since the coefficients that are accepted fall faster than the 2.4^-k
by which powers exceed Chebyshev polynomials.

Where it breaks down: a panel that has been halved `DEPTH` times is evaluated directly. Checked in
tests/laws/test_generalized.py against certified roots.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import ArrayLike, NDArray

from rmtfl.laws.base import Evaluation, Floats
from rmtfl.laws.branch import Target
from rmtfl.laws.doubledouble import DoubleDouble
from rmtfl.laws.edges import blocks
from rmtfl.laws.forward import Indices
from rmtfl.laws.generalized import GeneralizedMarchenkoPastur, finite

#: Chebyshev points a panel: panels of a smooth law reach rounding level without being halved.
NODES = 18

#: Panels that every half starts with, as parts of its bulk's width.
STARTS = np.array([0.0, 0.25, 0.5])

#: Halvings after which a panel is left to direct evaluation: its part of the width is then below 1e-18.
DEPTH = 60

#: Relative size of the last three coefficients at which a panel is accepted.
TAIL = 1e-13

#: A bulk is cut where Φ - 1 at a minimum is below this: the nearest singularity is then at about its power
#: 3/2.
BRIDGE = 0.01

#: Trailing coefficients below this, relative to the first, are dropped: two roundings.
NEGLIGIBLE = 2e-16

#: Points that are evaluated at once: 64 kB an array.
BLOCK = 8192

#: Where each panel is compared with the direct density: between nodes, not symmetric.
CHECKS = np.array([-0.97, -0.31, 0.52, 0.985])

_PHASE = np.pi * (np.arange(NODES) + 0.5) / NODES
_POINTS = np.concatenate([np.cos(_PHASE), CHECKS])
_TO_COEFFICIENTS = 2 / NODES * np.cos(np.outer(np.arange(NODES), _PHASE))
_TO_COEFFICIENTS[0] /= 2
_AT_CHECKS = chebyshev.chebvander(CHECKS, NODES - 1)
_TO_POWERS = np.zeros((NODES, NODES))
for _k in range(NODES):
    _TO_POWERS[_k, : _k + 1] = chebyshev.cheb2poly(np.eye(NODES)[_k])[: _k + 1]


@dataclass(frozen=True)
class Half:
    """One end of a bulk, or of a piece of one, and the panels from there to its middle.

    Attributes:
        end: Where distances are measured from, in double-double.
        far: The other end.
        sign: 1 for a lower end, -1 for an upper one.
        roots: Whether the end, and the other one, are edges.
        starts: Distance at which each panel starts, ascending.
        scale: 2 over each panel's width.
        powers: Each panel's coefficients in t = scale (distance - start) - 1, the highest first; None where the
            density is evaluated directly.
        error: Estimated relative error of each panel.
    """

    end: tuple[float, float]
    far: tuple[float, float]
    sign: float
    roots: tuple[bool, bool]
    starts: Floats
    scale: list[float]
    powers: list[list[float] | None]
    error: list[float]


class Interpolant:
    """Densities of a law through piecewise Chebyshev interpolation.

    Args:
        law: The law; its panels are built here, once.
    """

    def __init__(self, law: GeneralizedMarchenkoPastur) -> None:
        self.law = law
        branch = law.branch
        cut = (-branch.slope.hi < BRIDGE) | branch.critical
        chosen = np.flatnonzero(cut)
        bulk = branch.bulk[chosen]
        same = np.flatnonzero(bulk[1:] == bulk[:-1])
        #: Anchors at the ends of each half, (halves, 2): lower and upper half of each piece in turn.
        pairs = np.stack([chosen[same], chosen[same + 1]], 1)
        self._ends = np.stack([pairs, pairs[:, ::-1]], 1).reshape(-1, 2)
        self._owner = np.repeat(bulk[same], 2)
        image = branch.image
        self._width = np.repeat((image[pairs[:, 1]] - image[pairs[:, 0]]).to_float(), 2)
        self.halves = list(self._build())

    def _build(self) -> Iterator[Half]:
        count = self._width.size
        half = np.repeat(np.arange(count), STARTS.size - 1)
        start, stop = np.tile(STARTS[:-1], count), np.tile(STARTS[1:], count)
        done: list[tuple[Indices, Floats, Floats, Floats, NDArray[np.bool_], Floats]] = []
        for depth in range(DEPTH + 1):
            value, noise = self._regular(half, start, stop)
            coefficients = value[:, :NODES] @ _TO_COEFFICIENTS.T
            tail = np.abs(coefficients[:, -3:]).max(1) / np.abs(coefficients[:, 0])
            miss = np.abs(coefficients @ _AT_CHECKS.T / value[:, NODES:] - 1).max(1)
            worst = noise.max(1)
            good = tail <= np.maximum(TAIL, worst)
            keep = good | (depth == DEPTH)
            error = 4 * np.maximum(tail, miss) + worst
            done.append((half[keep], start[keep], stop[keep], coefficients[keep], good[keep], error[keep]))
            if keep.all():
                break
            half, start, stop = half[~keep], start[~keep], stop[~keep]
            middle = 0.5 * (start + stop)
            half = np.concatenate([half, half])
            start, stop = np.concatenate([start, middle]), np.concatenate([middle, stop])
        half, start, stop, coefficients, good, error = (
            np.concatenate(parts) if len(parts) > 1 else parts[0] for parts in zip(*done, strict=True)
        )
        order = np.lexsort((start, half))
        half, start, stop, good, error = half[order], start[order], stop[order], good[order], error[order]
        coefficients = coefficients[order]
        small = np.abs(coefficients) <= NEGLIGIBLE * np.abs(coefficients[:, :1])
        kept = np.maximum(NODES - np.argmin(small[:, ::-1], axis=1), 2)
        powers: list[list[float] | None] = [
            (row[:n] @ _TO_POWERS[:n, :n])[::-1].tolist() if fine else None
            for row, n, fine in zip(coefficients, kept.tolist(), good.tolist(), strict=True)
        ]
        width = self._width[half]
        start, scale, errors = start * width, (2 / ((stop - start) * width)).tolist(), error.tolist()
        image, critical = self.law.branch.image, self.law.branch.critical
        first = np.searchsorted(half, np.arange(count + 1)).tolist()
        for i, (near, far) in enumerate(self._ends.tolist()):
            part = slice(first[i], first[i + 1])
            yield Half(
                (float(image.hi[near]), float(image.lo[near])),
                (float(image.hi[far]), float(image.lo[far])),
                1.0 - 2.0 * (i % 2),
                (bool(critical[near]), bool(critical[far])),
                start[part],
                scale[part],
                powers[part],
                errors[part],
            )

    def _regular(self, half: Indices, start: Floats, stop: Floats) -> tuple[Floats, Floats]:
        """Return R and its relative error at nodes and checks of each panel, shape (panels, points)."""
        share = (0.5 * (start + stop))[:, None] + (0.5 * (stop - start))[:, None] * _POINTS
        which = np.repeat(half, _POINTS.size)
        distance = share.ravel() * self._width[which]
        sign = 1.0 - 2.0 * (which % 2)
        base, other = self._ends[which, 0], self._ends[which, 1]
        branch = self.law.branch
        at = Target(DoubleDouble(sign * distance), np.zeros(which.size), base)
        owner = self._owner[which]
        value, error = np.empty(which.size), np.empty(which.size)
        for part in blocks(which.size, self.law.forward.atoms.size):
            found = self.law.evaluate_inside(at[part], owner[part])
            value[part], error[part] = found.value, found.error
        value *= branch.image.hi[base] + (branch.image.lo[base] + sign * distance)
        value /= np.sqrt(np.where(branch.critical[base], distance, 1.0))
        value /= np.sqrt(np.where(branch.critical[other], self._width[which] - distance, 1.0))
        return value.reshape(share.shape), error.reshape(share.shape)

    def evaluate(self, x: ArrayLike) -> Evaluation:
        """Return the density at real x, any shape, with an estimate of each relative error.

        Raises:
            BadInput: If a point is not finite.
            ToleranceNotMet: If a point left to direct evaluation could not be certified.
        """
        points = finite(x)
        flat = points.ravel()
        value, error = np.zeros(flat.shape), np.zeros(flat.shape)
        self._fill(flat, value, error)
        return Evaluation(value.reshape(points.shape), error.reshape(points.shape))

    def density(self, x: ArrayLike) -> Floats:
        """Return the density at real x, any shape; see `evaluate` for its error."""
        points = finite(x)
        value = np.zeros(points.shape)
        self._fill(points.ravel(), value.reshape(-1), None)
        return value

    def _fill(self, x: Floats, value: Floats, error: Floats | None) -> None:
        """Write densities and errors at 1-D x."""
        if not (x[1:] >= x[:-1]).all():
            order = np.argsort(x)
            again = np.zeros(x.shape), None if error is None else np.zeros(x.shape)
            self._fill(x[order], *again)
            value[order] = again[0]
            if error is not None:
                error[order] = again[1]
            return
        for lower, upper in zip(self.halves[::2], self.halves[1::2], strict=True):
            middle = 0.5 * lower.end[0] + 0.5 * upper.end[0]
            bounds = (_first(x, lower), int(x.searchsorted(middle)), _last(x, upper))
            for half, start, stop in ((lower, bounds[0], bounds[1]), (upper, bounds[1], bounds[2])):
                for i in range(start, stop, BLOCK):
                    part = slice(i, min(i + BLOCK, stop))
                    self._panels(half, x[part], value[part], None if error is None else error[part])

    def _panels(self, half: Half, x: Floats, value: Floats, error: Floats | None) -> None:
        """Write densities and errors at ascending x in one half."""
        if half.sign < 0:
            x, value = x[::-1], value[::-1]
            error = None if error is None else error[::-1]
        # x - hi is exact next to the end, so that subtracting lo from it leaves one rounding.
        near = x - half.end[0]
        near -= half.end[1]
        near *= half.sign
        factor = _prefactor(half, x, near)
        cuts = [0, *near.searchsorted(half.starts[1:]).tolist(), near.size]
        for k, (start, scale, powers) in enumerate(zip(half.starts.tolist(), half.scale, half.powers, strict=True)):
            part = slice(cuts[k], cuts[k + 1])
            if part.start >= part.stop:
                continue
            if powers is None:
                found = self.law.evaluate(x[part])
                value[part] = found.value
                if error is not None:
                    error[part] = found.error
                continue
            t = near[part]
            if start:
                t -= start
            t *= scale
            t -= 1
            total = t * powers[0]
            total += powers[1]
            for power in powers[2:]:
                total *= t
                total += power
            total *= factor[part]
            value[part] = total
            if error is not None:
                error[part] = half.error[k]


def _first(x: Floats, half: Half) -> int:
    """Return where in ascending x the points strictly above a lower end start; a cut is inside."""
    (high, low), edge = half.end, half.roots[0]
    return int(x.searchsorted(high, side="left" if low < 0 or (low == 0 and not edge) else "right"))


def _last(x: Floats, half: Half) -> int:
    """Return where in ascending x the points strictly below an upper end stop."""
    high, low = half.end
    return int(x.searchsorted(high, side="right" if low > 0 else "left"))


def _prefactor(half: Half, x: Floats, near: Floats) -> Floats:
    """Return the square roots of the distances to those ends that are edges, over x."""
    own, other = half.roots
    if other:
        factor = half.far[0] - x
        factor += half.far[1]
        factor *= half.sign
        if own:
            factor *= near
        np.sqrt(factor, out=factor)
    elif own:
        factor = np.sqrt(near)
    else:
        return np.asarray(1 / x)
    factor /= x
    return factor
