"""The real axis right of the bulk: the edge, and the outliers beyond it, followed in m = (1/d) tr Q(z).

z(m) falls from infinity as m falls from 0, and the edge is its minimum on the branch where 1 + δ and det J stay
positive; the scan shortens its steps until it has that. Outliers are bracketed between two points of the scan and found
by Brent's method in m, each evaluation a fixed point of its own. The squared overlap with the target is minus the
residue of β^T Q β, from the odd part of its values on both sides.

It breaks down for an outlier within about half a percent of the edge, where the two sides of the residue run into it:
its location is right, its overlap has no digits.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from rmtfl.errors import ToleranceNotMet
from rmtfl.weights.deformed import pencil as equations
from rmtfl.weights.deformed.frame import Secular, Trained, secular, target_form
from rmtfl.weights.deformed.pencil import Pencil, Point
from rmtfl.weights.deformed.transfer import Matrix
from rmtfl.weights.deformed.walk import Walk

RATIO = 1.25  # of successive m far from the bulk
CLOSEST = 1e-3  # ln of the ratio at the edge: z(m) is flat there, and off by the square of it
FAR = 30.0  # the scan starts this many times further out than the farthest spike would be
SIDE = 1e-3  # relative distance in m of the two sides of a residue
ROOT = 1e-11  # relative accuracy of m at an outlier
HARD = 1e-3  # a rigid lower edge below it is taken for the hard edge 0
INSIDE = 0.1  # the scan for the lower edge starts at this part of the rigid one ...
AXIS = 1e-3  # ... from the solution at this height above it, relative to the same
NEAR = 1e-3  # outliers no further than this from the edge, relatively, are in the bulk


@dataclass(frozen=True)
class Found:
    """An outlier: its singular value, the squared overlap with the target, the numerical error of the overlap."""

    location: float
    alignment: float
    error: float


@dataclass(frozen=True)
class Branch:
    """The edge as a singular value, and the outliers beyond it, descending."""

    edge: float
    outliers: tuple[Found, ...]


def follow(pencil: Trained, farthest: float) -> Branch:
    """Follow the branch from far outside to the edge.

    Args:
        pencil: of the trained weights.
        farthest: about the largest singular value to be expected.

    Raises:
        ToleranceNotMet: if the fixed point is lost on the way.
    """
    start = equations.at_stieltjes(pencil, -1 / (FAR * farthest**2))
    if start is None or not start.physical:
        raise ToleranceNotMet("the deformed bulk: the fixed point does not converge far outside the bulk")
    points = _scan(pencil, start, 1, lambda new, old: new.physical and new.z.real < old.z.real)
    values = [secular(pencil, point) for point in points]
    outliers: list[Found] = []
    for (far, outside), (near, inside) in itertools.pairwise(zip(points, values, strict=True)):
        outliers += _between(pencil, far, near, outside, inside)
    edge = math.sqrt(points[-1].z.real)
    outside_bulk = [found for found in outliers if found.location > edge * (1 + NEAR)]
    return Branch(edge, tuple(sorted(outside_bulk, key=lambda found: -found.location)))


def lower_edge(pencil: Pencil, rigid: float) -> float:
    """The lower edge as a singular value, by the same scan from below: there z(m) has a maximum.

    With more dimensions than neurons m stays negative beyond the bulk, and a step can reach that side. But W W^T - z is
    positive there only below the bulk, and with its inverse's diagonal, -1/(z (1 + δ)), all 1 + δ are negative.

    Args:
        pencil: of the trained weights.
        rigid: the lower edge |1 - √ψ| of the untrained weights; where it is 0 the answer is 0.

    Raises:
        ToleranceNotMet: if the fixed point does not converge near 0.
    """
    if rigid < HARD:
        return 0.0
    walk = Walk(pencil, AXIS * rigid)
    _, m = walk.to(INSIDE * rigid)
    assert walk.start is not None
    start = equations.at_stieltjes(pencil, m.real, walk.start.real)
    if start is None:
        raise ToleranceNotMet("the deformed bulk: the fixed point does not converge below the bulk")
    sense = 1 if start.m.real > 0 else -1

    def below(new: Point, old: Point) -> bool:
        return new.z.real > old.z.real and (sense == 1 or bool(np.all(np.real(new.load) < 0)))

    return math.sqrt(_scan(pencil, start, sense, below)[-1].z.real)


def _scan(pencil: Pencil, start: Point, sense: int, onwards: Callable[[Point, Point], bool]) -> list[Point]:
    """Points from the start to the edge, where going on in m is no longer going on in z.

    Args:
        pencil: of the trained weights.
        start: the first point.
        sense: 1 if |m| grows, -1 if it falls.
        onwards: whether the first point follows the second on the branch.

    The steps shorten at the edge until the curvature of z(m) does not matter.
    """
    points, log_ratio = [start], math.log(RATIO)
    while log_ratio > CLOSEST:
        here = points[-1]
        m = here.m.real * math.exp(sense * log_ratio)
        following = equations.at_stieltjes(pencil, m, _extrapolated(points, m))
        if following is None or not onwards(following, here):
            log_ratio /= 2
            if len(points) > 1:  # the last one may be past the edge already: the one before it is not
                points.pop()
            continue
        points.append(following)
    return points


def _extrapolated(points: list[Point], m: float) -> Matrix:
    here = points[-1]
    if len(points) < 2:
        return here.unknowns
    before = points[-2]
    return here.unknowns + (m - here.m.real) / (here.m.real - before.m.real) * (here.unknowns - before.unknowns)


def _between(pencil: Trained, far: Point, near: Point, outside: Secular, inside: Secular) -> list[Found]:
    """The outliers between two successive points of the scan."""
    if outside.orientation != inside.orientation:
        crosses = outside.product * inside.product < 0
        return [_locate(pencil, far, near, lambda at: at.product)] if crosses else []
    crossing = np.flatnonzero((outside.growth < 1) & (inside.growth >= 1))
    return [_locate(pencil, far, near, _growth_above_one(int(j))) for j in crossing]


def _growth_above_one(index: int) -> Callable[[Secular], float]:
    return lambda at: float(at.growth[index]) - 1


def _locate(pencil: Trained, far: Point, near: Point, function: Callable[[Secular], float]) -> Found:
    def point(m: float) -> Point:
        weight = (m - far.m.real) / (near.m.real - far.m.real)
        found = equations.at_stieltjes(pencil, m, (1 - weight) * far.unknowns + weight * near.unknowns)
        if found is None:
            raise ToleranceNotMet("the deformed bulk: the fixed point is lost at an outlier")
        return found

    m = brentq(lambda m: function(secular(pencil, point(m))), near.m.real, far.m.real, xtol=1e-300, rtol=ROOT)
    z = point(m).z.real

    def overlap(side: float) -> float:
        ends = [point(m * (1 + side)), point(m * (1 - side))]
        left, right = ends if ends[0].z.real < z else ends[::-1]
        jump = target_form(pencil, right) - target_form(pencil, left)
        return float(-jump / (1 / (right.z.real - z) - 1 / (left.z.real - z)))

    alignment = overlap(SIDE)
    return Found(math.sqrt(z), alignment, abs(overlap(2 * SIDE) - alignment))
