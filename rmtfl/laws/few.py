"""Edges of a law of a few atoms: what `edges` does with arrays, on Python's own numbers.

With a handful of atoms an array operation is all overhead. Critical points are found by Newton on floats, from the same
starts as in `edges`; one correction or two with z and Φ in integer fixed-point arithmetic, whose truncation is bounded,
then takes them as far as double-double holds. What is not plain (a gap or a bridge of Φ within `PLAIN` of 1, γ Σ w = 1
exactly, an edge that does not come out to EDGE_TOLERANCE) is left to `edges`.

Checked in tests/laws/test_few.py against `edges`, and through the laws against certified roots.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import cbrt, copysign, frexp, sqrt

import numpy as np

from rmtfl.laws.doubledouble import DoubleDouble
from rmtfl.laws.forward import ORIGIN, Floats, ForwardMap, Points
from rmtfl.laws.structure import EDGE_TOLERANCE, Images, Structure
from rmtfl.newton import newton

#: Laws of at most this many atoms come here: with more, arrays are faster.
FEW = 8

#: So do edges of which there are at most this many, times the number of atoms.
FEW_EDGES = 300

#: Minima of Φ nearer to 1 than this are left to `edges`.
PLAIN = 1e-3

#: Bits after the binary point for atoms around 1: populations of any accepted spread keep 120 that are right.
BITS = 384

#: Corrections of a critical point, each of which doubles the digits until a float's slope limits it.
CORRECTIONS = 3


@dataclass(frozen=True)
class Critical:
    """One critical point, and z and 1 - Φ there with bounds: the entries of `Points` and `Images`."""

    reference: int
    offset: tuple[float, float]
    value: tuple[float, float]
    error: float
    slope: tuple[float, float]
    slope_error: float
    relative: float


class FixedPoint:
    """z and Φ in integers: a number x is floor(x 2^shift).

    Attributes:
        shift: Bits after the point; every atom is exact.
    """

    def __init__(self, forward: ForwardMap) -> None:
        atoms = list(forward.exact_weights)
        self.shift = BITS + max(0, -frexp(atoms[0])[1])
        self.unit = 2.0**-self.shift
        self.atoms = [self.of(t) for t in atoms]
        self.raised = [t << self.shift for t in self.atoms]
        self.gw = [(gw.numerator << self.shift) // gw.denominator for gw in forward.exact_gw]

    def of(self, x: float) -> int:
        """Return a double, exactly where its last bit is above 2^-shift."""
        top, bottom = x.as_integer_ratio()
        return (top << self.shift) // bottom

    def split(self, x: int) -> tuple[float, float]:
        """Return x as a double-double."""
        high = x / (1 << self.shift)
        return high, (x - self.of(high)) / (1 << self.shift)

    def phi(self, u: int) -> int:
        """Return Φ at u."""
        s, total = self.shift, 0
        for t, raised, g in zip(self.atoms, self.raised, self.gw, strict=True):
            r = raised // (u - t)
            total += (g * r >> s) * r >> s
        return total

    def evaluate(self, u: int) -> tuple[int, int, float, float]:
        """Return z and Φ - 1 at u, with bounds on the errors that truncation leaves in them."""
        s, unit = self.shift, self.unit
        first = second = 0
        noise = 0.0
        for t, raised, g in zip(self.atoms, self.raised, self.gw, strict=True):
            r = raised // (u - t)
            part = g * r >> s
            first += part
            second += part * r >> s
            size = 1 + abs(r) * unit
            noise += size * size * (2 + g * unit)
        # r is off by a unit, g by a unit, and so is each product: (2 + g)(1 + |r|)² covers the sum of these.
        noise *= 2 * unit
        return u + (u * first >> s), second - (1 << s), noise * (1 + abs(u) * unit), noise


def structure(forward: ForwardMap) -> Structure | None:
    """Find every gap and every edge of a law of a few atoms; None where `edges` has to."""
    fixed = FixedPoint(forward)
    t = forward.atoms.tolist()
    a2 = forward.double_gwt2.tolist()
    points = range(len(t) - 1)
    minima, least = [], []
    for i in points:
        offset = _minimum(t, a2, i)
        if offset is None:
            return None
        reference = i if offset > 0 else i + 1
        minima.append((reference, offset))
        least.append(fixed.split(fixed.phi(fixed.atoms[reference] + fixed.of(offset)) - (1 << fixed.shift)))
    if any(abs(depth) < PLAIN for depth, _ in least):
        return None
    gaps = [i for i in points if least[i][0] < 0]
    found = edges(forward, gaps, fixed)
    if found is None:
        return None
    return Structure(
        *found,
        Points(np.array([r for r, _ in minima], dtype=np.intp), DoubleDouble(np.array([v for _, v in minima], float))),
        _pairs(least),
        np.array([depth < 0 for depth, _ in least], dtype=bool),
        (),
    )


def edges(
    forward: ForwardMap, gaps: list[int], fixed: FixedPoint | None = None
) -> tuple[Points, Images, Floats] | None:
    """Find the critical points of a law whose gaps are known, with z and z' there, and a bound on each edge's error."""
    fixed = fixed or FixedPoint(forward)
    if abs(sum(fixed.gw) - (1 << fixed.shift)) <= len(fixed.gw) and forward.exact_excess == 0:
        return None
    t, a2 = forward.atoms.tolist(), forward.double_gwt2.tolist()
    starts = [(0, -1), *((i + side, 1 - 2 * side) for i in gaps for side in (0, 1)), (len(t) - 1, 1)]
    found = []
    for reference, direction in starts:
        offset = _level(t, a2, reference, direction)
        point = None if offset is None else _polish(fixed, t, a2, reference, offset)
        if point is None:
            return None
        found.append(point)
    return (
        Points(np.array([p.reference for p in found]), _pairs([p.offset for p in found])),
        Images(
            _pairs([p.value for p in found]),
            np.array([p.error for p in found]),
            _pairs([p.slope for p in found]),
            np.array([p.slope_error for p in found]),
        ),
        np.array([p.relative for p in found]),
    )


def _pairs(numbers: list[tuple[float, float]]) -> DoubleDouble:
    pairs = np.array(numbers, float).reshape(-1, 2)
    return DoubleDouble(pairs[:, 0].copy(), pairs[:, 1].copy())


def _differences(t: list[float], reference: int) -> list[float]:
    here = t[reference]
    return [here - other for other in t]


def _minimum(t: list[float], a2: list[float], i: int) -> float | None:
    """Return the minimiser of Φ between atoms i and i + 1, from the nearer one (positive: the left)."""
    share = cbrt(a2[i] / a2[i + 1])
    share /= 1 + share
    width = t[i + 1] - t[i]
    right = share > 0.5
    apart = _differences(t, i + right)

    def step(v: float) -> float:
        left = left4 = rest = rest4 = 0.0
        for k, (base, a) in enumerate(zip(apart, a2, strict=True)):
            d = base + v
            cube = a / (d * d * d)
            if k <= i:
                left, left4 = left + cube, left4 + cube / d
            else:
                rest, rest4 = rest - cube, rest4 + cube / d
        p, q = 1 / cbrt(left), 1 / cbrt(rest)
        return (p - q) / (p / left * left4 + q / rest * rest4)

    low, high = (-width, 0.0) if right else (0.0, width)
    return newton(step, (share - right) * width, inside=lambda v: low < v < high, tolerance=1e-13)


def _level(t: list[float], a2: list[float], reference: int, direction: int) -> float | None:
    """Solve Φ = 1 on one side of an atom, by Newton on Φ^{-1/2} from the atom's side, where it is monotone."""
    apart = _differences(t, reference)

    def step(v: float) -> float:
        phi = bend = 0.0
        for base, a in zip(apart, a2, strict=True):
            d = base + v
            square = a / (d * d)
            phi += square
            bend += square / d
        return (phi - phi * sqrt(phi)) / bend

    start = copysign(sqrt(a2[reference]), direction)
    return newton(step, start, inside=lambda v: v * direction > 0, tolerance=1e-14)


def _polish(fixed: FixedPoint, t: list[float], a2: list[float], reference: int, offset: float) -> Critical | None:
    """Correct a critical point until its edge is as good as double-double."""
    apart = _differences(t, reference)
    slope = curvature = 0.0
    for base, a in zip(apart, a2, strict=True):
        d = base + offset
        fourth = a / (d * d) / (d * d)
        slope, curvature = slope - 2 * fourth * d, curvature + 6 * fourth
    base, one = fixed.atoms[reference], 1 << fixed.shift
    u = base + fixed.of(offset)
    if 2 * abs(u) < base:
        # Measured from the origin where that is nearer.
        reference, base = ORIGIN, 0
    for _ in range(CORRECTIONS):
        u -= fixed.of((fixed.phi(u) - one) / one / slope)
        pair = fixed.split(u - base)
        u = base + fixed.of(pair[0]) + fixed.of(pair[1])
        z, rest, error, rest_error = fixed.evaluate(u)
        value, remaining = fixed.split(z), fixed.split(-rest)
        error += abs(value[0]) * 2.0**-105
        delta = 2 * (abs(remaining[0]) + rest_error) / abs(slope)
        moved = abs(slope) * delta**2 / 2 + curvature * delta**3 / 6
        if not 0 < delta * curvature < 0.5 * abs(slope) or value[0] == 0:
            continue
        relative = (error + moved) / abs(value[0])
        if relative <= EDGE_TOLERANCE:
            # The bounds come from slopes in floats, which are good to 1e-14 of what they are.
            return Critical(reference, pair, value, error, remaining, rest_error, relative * (1 + 1e-9))
    return None
