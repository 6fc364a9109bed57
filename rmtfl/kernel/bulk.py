"""The bulks of a kernel matrix: their intervals with errors and Tracy–Widom scales, and their density.

In a gap the solution of `rmtfl.kernel.bulk_equation` is real, and the share of eigenvalues above it is a sum of
multiplicities. A gap is looked for at each such sum, between two eigenvalues of the kernel and, if there is none, where
the distribution function, a little above the axis, has that value; a real solution proves the gap (see
`rmtfl.laws.diagonal`). The solution is then followed along its curve, by arc length s in log |q|, to where x(s) turns
back: an edge. Near it Im E q = |Σ w q'| √(2 |x − x*|/|x''|), which gives the Tracy–Widom scale, and the edge's place in
one draw of the samples' z is linear in their weights.

Where it breaks down: a gap that is narrower than about 1e-3 of its place is taken for none, and so is one above which
other eigenvalues lie than the largest of the kernel; where n exceeds the kernel's rank by far, bulks below FAINT of the
largest eigenvalue are one. Derived as `spiked-samples.bulks` and `spiked-samples.edges` in theory/spiked-samples.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmtfl.errors import ToleranceNotMet
from rmtfl.kernel.bulk_equation import BulkEquation, bulk_equation
from rmtfl.kernel.mercer import Mercer
from rmtfl.laws.diagonal import EPS, Complexes, radius
from rmtfl.solve import Bracketed, Root, solve

Array = NDArray[np.float64]

HEIGHT = 1e-4  # of points at which gaps are looked for, relative
COARSE = 4.0  # ratio of the points between which a share of eigenvalues is looked for
LEAST = 1e-30  # of the bound: below it nothing is looked for
STRIDE = 0.3  # of a step along a real solution, the largest change of a log |q|
STEPS, CORRECTIONS = 200, 12  # along a real solution, and Newton's for each
ARRIVED = 1e-10  # last step at an edge, whose place is then off by its square
PERRON = 1e-3  # how near to one the coupling's radius is at an edge
FAINT = 1e-6  # of the largest eigenvalue of the blocks: fainter bulks are not told apart, where the matrix is not full
SAME = 1e-9  # relative difference of two shares of eigenvalues that are the same
NOISES = 8  # roundings of its largest part within which a residual is nothing but rounding
FILLED = 8  # points of a density between two that are solved from far above


@dataclass(frozen=True)
class Edge:
    """An end of an interval of the bulk's law.

    Attributes:
        location: where.
        upper: whether the interval lies below it.
        above: the share of the n eigenvalues that lie above it.
        simple: how many simple eigenvalues do, which the law leaves out.
        decay: D of the density D √|x − location|/π of the n eigenvalues, of mass one, next to it; 0 at a hard edge.
        response: standard deviation of the location over draws of the samples' z, times √n.
        error: of the location, absolute.
    """

    location: float
    upper: bool
    above: float
    simple: int
    decay: float
    response: float
    error: float


@dataclass(frozen=True)
class BulkLaw:
    """The law of the n eigenvalues of K/n in the bulks.

    Attributes:
        equation: on the nodes of the spectrum.
        coarse: on those of the coarser rule.
        levels: the shares of eigenvalues above which a gap may be, ascending; 1 or more where there is no gap above 0.
        floor: bulks below it are not told apart, and taken to reach to 0; 0 where there are none.
        between: points that may lie in gaps, tried before any search.
    """

    equation: BulkEquation
    coarse: BulkEquation
    levels: tuple[float, ...]
    floor: float = 0.0
    between: tuple[float, ...] = ()

    @cached_property
    def edges(self) -> tuple[Edge, ...]:
        """The ends of its intervals, ascending: beside the gaps that both rules see.

        Raises:
            ToleranceNotMet: if an end is not found, or the two rules do not see the same intervals.
        """
        if not self.levels:
            return ()
        rank = self.levels[-1]
        points, shares = gaps_of(self.equation, np.array(self.between))
        left = [level for level in self.levels if not np.any(np.abs(shares - level) <= SAME * level)]
        points = np.concatenate([points, _gaps(self.equation, left)])
        gaps, shares = gaps_of(self.coarse, gaps_of(self.equation, points)[0])
        if rank == 1:  # below all of them there is no other than that next to 0
            gaps = gaps[shares < 1 - SAME]
        found, other = (edges(equation, gaps, rank, self.floor) for equation in (self.equation, self.coarse))
        if [edge.upper for edge in other] != [edge.upper for edge in found]:
            raise ToleranceNotMet("the kernel matrix's bulk: two quadratures see different intervals")
        return tuple(
            replace(fine, error=fine.error + abs(fine.location - rough.location))
            for fine, rough in zip(found, other, strict=True)
        )

    @property
    def support(self) -> tuple[tuple[float, float], ...]:
        """Its intervals, ascending."""
        ends = [edge.location for edge in self.edges]
        return tuple(zip(ends[0::2], ends[1::2], strict=True))

    def density(self, x: Array) -> Array:
        """The density at real x of any shape; 0 off the support."""
        points = np.asarray(x, float)
        flat = points.ravel()
        value = np.zeros(flat.shape)
        for low, high in self.support:
            inside = np.flatnonzero((flat > low) & (flat < high))
            if inside.size:
                value[inside] = self._inside(flat[inside])
        return value.reshape(points.shape)

    def _inside(self, x: Array) -> Array:
        order = np.argsort(x)
        sorted_x = x[order]
        first = sorted_x[::FILLED]
        known = np.log(self.equation.limit(first + 0j))
        columns = [np.interp(sorted_x, first, part) for k in range(self.equation.size) for part in _parts(known[:, k])]
        guess = np.exp(np.array(columns[0::2]) + 1j * np.array(columns[1::2])).T
        m = self.equation.limit(sorted_x + 0j, guess)
        value = np.empty(x.shape)
        value[order] = (m.imag @ self.equation.weights) / np.pi
        return value


def _parts(values: NDArray[np.complex128]) -> tuple[Array, Array]:
    return values.real, values.imag


def bulk_law(population: Mercer, samples: int) -> BulkLaw:
    """The law of the blocks of degree ≥ 1 on n samples; without an interval where there are none."""
    fine, coarse = (bulk_equation(population, at, samples) for at in (population.nodes, population.coarse_nodes))
    bulk = population.degrees > 0
    order = np.argsort(-population.eigenvalues[bulk])
    eigenvalues = population.eigenvalues[bulk][order]
    shares = np.cumsum(population.multiplicities[bulk][order]) / samples
    floor = FAINT * float(eigenvalues.max(initial=0.0))
    told = (shares < 1) & (eigenvalues > floor)
    levels = shares[told].tolist()
    full = bool((shares >= 1).any())
    between = np.sqrt(eigenvalues[1:] * eigenvalues[:-1])[told[:-1]].tolist()
    return BulkLaw(
        fine,
        coarse,
        levels=tuple([*levels, 1.0] if full else levels),
        floor=floor if not full and not told.all() else 0.0,
        between=tuple(between),
    )


def _gaps(equation: BulkEquation, levels: list[float]) -> Array:
    """Points in gaps, if there are any, between intervals, or between the lowest one and 0."""
    target = 1 - np.array([level for level in levels if level < 1])
    if not target.size:
        return target

    def below(x: Array, m: Complexes) -> Array:
        """The distribution function on the axis, but for O(HEIGHT²): what the height adds is its slope there."""
        mean = m @ equation.weights
        return np.asarray(equation.below(x * (1 + 1j * HEIGHT), m) - HEIGHT * x * mean.real / np.pi)

    def place(x: Array) -> tuple[Complexes, Array]:
        m = equation.above(x * (1 + 1j * HEIGHT))
        return m, below(x, m)

    x = np.geomspace(equation.bound, equation.bound * COARSE**-6, 7)
    m, share = place(x)
    while share[-1] > target.min() and x[-1] > LEAST * equation.bound:
        more = x[-1] * COARSE ** -np.arange(1.0, 5.0)
        parts = place(more)
        x, m, share = (np.concatenate(pair) for pair in zip((x, m, share), (more, *parts), strict=True))
    x, m, share = x[::-1], m[::-1], np.maximum.accumulate(share[::-1])
    after = np.clip(np.searchsorted(share, target), 1, x.size - 1)
    guess = m[after]

    def residual(log: Array, index: NDArray[np.intp]) -> tuple[Array, Array]:
        at = np.exp(log)
        guess[index] = equation.limit(at * (1 + 1j * HEIGHT), guess[index])
        slope = at * (guess[index].imag @ equation.weights) / np.pi
        return below(at, guess[index]) - target[index], slope

    low, high = np.log(x[after - 1]), np.log(x[after])
    found = solve(Root(residual, lower=low, upper=high), Bracketed(), 0.5 * (low + high), tolerance=1e-6, throw=False)
    return np.asarray(np.exp(found.value))


def gaps_of(equation: BulkEquation, points: Array) -> tuple[Array, Array]:
    """Those of some points that lie in gaps, one for each, ascending; and the shares of eigenvalues above."""
    if not points.size:
        return points, points
    m, gap = equation.outside(points, equation.above(points * (1 + 1j * HEIGHT)))
    shares = equation.share_above(m.real[gap])
    order = np.argsort(-shares)
    apart = np.append(True, np.abs(np.diff(shares[order])) > SAME * shares[order][:-1])[: order.size]
    return points[gap][order][apart], shares[order][apart]


def edges(equation: BulkEquation, gaps: Array, rank: float, floor: float) -> list[Edge]:
    """The edges beside gaps, ascending.

    Args:
        equation: the equation.
        gaps: a point in each, ascending.
        rank: share of eigenvalues that are not 0, or 1.
        floor: what is below it reaches to 0.
    """
    x = np.concatenate([[0.0], gaps, [2 * equation.bound]])
    start = np.empty((x.size, equation.size))
    start[0] = 1 / (equation.rest + np.einsum("g,gmk->k", equation.shares, equation.functions**2))
    start[-1] = -1 / x[-1]
    if gaps.size:
        start[1:-1] = equation.above(gaps * (1 + 1j * HEIGHT)).real
    m, gap = equation.outside(x, start)
    m = m.real
    if not gap[1:].all():
        raise ToleranceNotMet("the kernel matrix's bulk: no solution above it, or in a gap, was found")
    # Nothing of the law is below 0, or below the gap above which all its mass is.
    gap[0] &= rank >= 1
    above = equation.share_above(np.where(gap[:, None], m, -1.0))
    lowest = gap & (above >= rank * (1 - SAME)) & (floor == 0)
    upwards = np.flatnonzero(gap[:-1])
    downwards = np.flatnonzero(gap & ~lowest)
    at = np.concatenate([upwards, downwards])
    direction = np.concatenate([np.ones(upwards.size), -np.ones(downwards.size)])
    found = _follow(equation, x[at], m[at], direction)
    if not lowest.any():
        found.append(
            Edge(0.0, upper=False, above=rank, simple=len(equation.simple), decay=0.0, response=0.0, error=floor)
        )
    found = sorted(found, key=lambda edge: edge.location)
    if [edge.upper for edge in found] != [False, True] * (len(found) // 2):
        raise ToleranceNotMet(f"the kernel matrix's bulk: its edges {[e.location for e in found]} make no intervals")
    return found


@dataclass(frozen=True)
class _Curve:
    """The real solutions' curves through several points, one a row, as functions of c · log |q| for fixed c.

    Attributes:
        equation: the equation.
        sign: of q, (edges, K).
    """

    equation: BulkEquation
    sign: Array

    def bordered(self, y: Array, x: Array, c: Array) -> tuple[Array, Array, Array]:
        """The Jacobian in (log |q|, x), bordered by c, with the residual and its rounding."""
        m = self.sign * np.exp(y)
        terms = self.equation.terms(x, m)
        count, size = y.shape
        matrix = np.zeros((count, size + 1, size + 1))
        one = np.arange(size)
        matrix[:, :size, :size] = terms.coupling
        matrix[:, one, one] += terms.residual - 1
        matrix[:, :size, size] = m
        matrix[:, size, :size] = c
        return matrix, terms.residual, terms.noise

    def derivatives(self, y: Array, x: Array, c: Array) -> tuple[Array, Array, Array]:
        """y', x' and x'' along the curve."""
        m = self.sign * np.exp(y)
        matrix, residual, _ = self.bordered(y, x, c)
        unit = np.zeros(y.shape[1] + 1)
        unit[-1] = 1.0
        first = np.linalg.solve(matrix, np.broadcast_to(unit[:, None], (len(y), unit.size, 1)))[:, :, 0]
        y1, x1 = first[:, :-1], first[:, -1]
        # With a' and a'' of the right side along the curve: F = 1 + q (x − a), q' = q y', at y'' = x'' = 0.
        pull = x[:, None] - (residual - 1) / m
        flow = (matrix[:, :-1, :-1] @ y1[:, :, None])[:, :, 0] - (residual - 1) * y1  # −q a'
        bend = self._again(m, y1) - self.equation.second(m, m * y1)  # −a''
        right = (x[:, None] - pull) * m * y1**2 + 2 * y1 * (flow + m * x1[:, None]) + m * bend
        second = np.linalg.solve(matrix, np.concatenate([-right, np.zeros((len(y), 1))], axis=1)[:, :, None])
        return y1, x1, second[:, -1, 0]

    def _again(self, m: Array, y1: Array) -> Array:
        """What the second derivative q y'² of q at y'' = 0 does to −a."""
        coupling = self.equation.terms(np.zeros(len(m)), m).coupling
        return np.asarray((coupling @ (y1**2)[:, :, None])[:, :, 0] / m)

    def corrected(self, y: Array, x: Array, c: Array) -> tuple[Array, Array, NDArray[np.bool_]]:
        """The point of the curve with the same c · y, and whether it was reached."""
        lost = np.zeros(len(y), bool)
        for _ in range(CORRECTIONS):
            matrix, residual, noise = self.bordered(y, x, c)
            reached = np.all(np.abs(residual) <= NOISES * noise, axis=1)
            if (reached | lost).all():
                break
            right = np.concatenate([residual, np.zeros((len(y), 1))], axis=1)
            change = np.linalg.solve(matrix, right[:, :, None])[:, :, 0]
            # A correction as large as this has left the curve.
            lost |= np.abs(change[:, :-1]).max(axis=1) > STRIDE
            change[reached | lost] = 0.0
            y, x = y - change[:, :-1], x - change[:, -1]
        return y, x, reached & ~lost


def _follow(equation: BulkEquation, x: Array, m: Array, direction: Array) -> list[Edge]:
    """The edges that are met from points off the support, going up (+1) or down (−1) in x."""
    curve, y = _Curve(equation, np.sign(m)), np.log(np.abs(m))
    matrix, _, _ = curve.bordered(y, x, np.zeros(y.shape))
    c = -np.linalg.solve(matrix[:, :-1, :-1], (m * direction[:, None])[:, :, None])[:, :, 0]
    c = _unit(c)
    cap, above = np.full(x.size, STRIDE), equation.share_above(m)
    for _ in range(STEPS):
        y1, x1, x2 = curve.derivatives(y, x, c)
        largest = np.abs(y1).max(axis=1)
        turning = direction * x2 < 0
        with np.errstate(divide="ignore", invalid="ignore"):
            step = np.clip(np.where(turning, -x1 / x2, np.inf), -cap / largest, cap / largest)
        left = np.abs(step) * largest
        if (left < ARRIVED).all():
            break
        new_y, new_x, reached = curve.corrected(y + step[:, None] * y1, x + step * x1 + step**2 * x2 / 2, c)
        # Beyond a pole other eigenvalues lie above: that is another curve.
        reached &= np.abs(equation.share_above(curve.sign * np.exp(new_y)) - above) <= SAME * above
        y, x = np.where(reached[:, None], new_y, y), np.where(reached, new_x, x)
        cap = np.where(reached, np.minimum(2 * cap, STRIDE), cap / 4)
        c = _unit(y1)
    m = curve.sign * np.exp(y)
    terms = equation.terms(x, m)
    # The coupling's positive vector is q y', its radius one: a fold of a solution that is the right one beside it.
    positive = np.all(curve.sign * y1 * direction[:, None] > 0, axis=1)
    if not ((left < ARRIVED) & (np.abs(radius(terms) - 1) < PERRON) & positive).all():
        raise ToleranceNotMet(f"the kernel matrix's bulk: an edge near {x[np.argmax(left)]:.6g} was not found")
    total = (m * y1) @ equation.weights
    rounding = np.sum(equation.weights * np.abs(y1) * (np.abs(terms.residual) + 8 * terms.noise), axis=1)
    moves = y1 / total[:, None]
    response = np.sqrt((moves - (moves @ equation.weights)[:, None]) ** 2 @ equation.weights)
    # An eigenvalue λ of the rest adds λ/(1 + λ E g² q) to it, which is taken for λ.
    lumped = equation.lumped * equation.rest.max() * np.abs(m).max(axis=1)
    error = lumped + rounding / np.abs(total) + np.abs(x2) * (left / largest) ** 2 + 4 * EPS * np.abs(x)
    decay = np.abs(total) * np.sqrt(2 / np.abs(x2))
    simple = np.sum(np.linalg.eigvalsh(equation.simple_matrix(m)) < 0, axis=1).tolist()
    columns = (
        x.tolist(),
        (direction < 0).tolist(),
        above.tolist(),
        simple,
        decay.tolist(),
        response.tolist(),
        error.tolist(),
    )
    return [Edge(*row) for row in zip(*columns, strict=True)]


def _unit(rows: NDArray[np.floating[Any]]) -> Array:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))
