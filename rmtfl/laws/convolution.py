"""What free sums and products share: two subordination functions, found in C⁺ and on the axis.

Of A + U B U^T and A^{1/2} U B U^T A^{1/2}, U Haar orthogonal. With K(s) = s + 1/m(s), both have two subordination
functions, the one fixed point in C⁺ of

    sum:      s₁ = z - K₂(s₂),   s₂ = z - K₁(s₁),   m(z) = m₁(s₁) = m₂(s₂),
    product:  s₁ = z / K₂(s₂),   s₂ = z / K₁(s₁),   z m(z) = s₁ m₁(s₁) = s₂ m₂(s₂)

(Belinschi and Bercovici, J. Anal. Math. 101, 2007, theorem 4.1 and section 3; here in s = 1/z and Stieltjes
transforms). The map sends C⁺ to itself and has one fixed point there, so that whatever converges is right: a few
plain iterations, then Newton, and for what that loses Newton again, from far above the axis down to it.

Off the support everything is real, and explicit in the level c = m (sum) or z m (product), which increases between the
intervals of a law: with s₁(c), s₂(c) the inverse functions, z = s₁ + s₂ + 1/c or s₁ s₂ (1 + 1/c). A gap of the result
comes from one pair of gaps (the region around infinity counts as one), as the distribution function is the same all
over it; it is where dz/dc > 0, and its ends are edges.

An eigenvalue θ of A off the limit of its spectrum puts one at every such z with s₁(z) = θ, with squared overlap
s₁/(z s₁'(z)) of the eigenvectors for products and 1/s₁'(z) for sums (Belinschi, Bercovici, Capitaine and Février, Ann.
Probab. 45, 2017): the resolvent of the whole is (s₁ - A)^{-1}, times s₁/z for products, next to A's eigenvectors.

Where it breaks down: in plain doubles; the relative error of a density grows towards the edges, and `evaluate` says
how. A gap is looked for at LEVELS levels of each pair: one that is narrower is missed. Where one factor is
Marchenko-Pastur or a semicircle, `generalized` and `subordinated` are faster. Checked in tests/laws/test_convolution.py
against closed forms, moments, sampled matrices and those two.
"""

from __future__ import annotations

from abc import abstractmethod
from functools import cached_property
from itertools import pairwise, product
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rmtfl.errors import BadInput, ToleranceNotMet
from rmtfl.laws.base import Evaluation, Floats, Interval, Law, Outlier, real_or_complex
from rmtfl.laws.forward import Indices
from rmtfl.laws.quadrature import EvaluatedLaw
from rmtfl.solve import Bracketed, Damped, FixedPoint, Newton, Root, Solution, continuation, solve

Complexes = NDArray[Any]
EPS = 2.0**-53

#: An outlier's inputs are moved by so many roundings to see how far it may be off.
ROUNDINGS = 8

#: Plain iterations before Newton.
PLAIN = 20

#: Heights above the axis, each a quarter of the one before, by which Newton comes down where it was lost.
DESCENT = 40

#: Levels at which a gap is looked for, in each pair of gaps.
LEVELS = 400

#: A level is known to this accuracy at an edge, where z does not depend on it to first order; it is searched for in so
#: many parts at once, so often at most.
LEVEL_ACCURACY, PARTS, SEARCHES = 1e-12, 40, 10

#: An interval that is narrower, relative to the laws' reach, and has an atom in it is nothing but that: next to an atom
#: the level is known to rounding only, and so is where a gap ends.
ATOMIC = 1e-8


class Gap:
    """A component of the complement of a law's support and atoms; the one around infinity has `low` > `high`."""

    def __init__(self, law: Law, low: float, high: float) -> None:
        self.law, self.low, self.high = law, low, high
        self.outer = low >= high

    def holds(self, s: float) -> bool:
        """Tell whether a point is in the gap."""
        return s > self.low or s < self.high if self.outer else self.low < s < self.high


#: A gap of the result: its ends, the pair it comes from, the levels at its ends.
Found = tuple[float, float, tuple[Gap, Gap], tuple[float, float]]


def gaps(law: Law) -> list[Gap]:
    """Return the gaps of a law, that around infinity first."""
    pieces = sorted([*law.support, *((place, place) for place, mass in law.atoms if mass > 0)])
    inner = [Gap(law, left, right) for (_, left), (right, _) in pairwise(pieces) if left < right]
    return [Gap(law, pieces[-1][1], pieces[0][0]), *inner]


class Convolution(EvaluatedLaw):
    """A free convolution of two laws.

    Args:
        first: One law.
        second: The other.

    Attributes:
        infinity: The level c at s = ∞.
    """

    infinity: float

    def __init__(self, first: Law, second: Law) -> None:
        self.first, self.second = first, second

    @abstractmethod
    def partner(self, z: Complexes, k: Complexes) -> tuple[Complexes, Complexes]:
        """Return the other subordination function, given K of the one, and its derivative by K."""

    @abstractmethod
    def level(self, law: Law, s: Complexes) -> tuple[Complexes, Complexes]:
        """Return c at s, and its derivative."""

    @abstractmethod
    def image(self, c: Complexes, one: Complexes, two: Complexes) -> Complexes:
        """Return z, given the level and both subordination functions."""

    @abstractmethod
    def image_slope(self, c: Complexes, one: Complexes, two: Complexes) -> Complexes:
        """Return dz/dc."""

    @abstractmethod
    def from_level(self, c: Complexes, z: Complexes) -> Complexes:
        """Return m(z)."""

    @abstractmethod
    def tail(self, law: Law) -> float:
        """Return lim |c - infinity| |s| at s = ∞."""

    # ------------------------------------------------------------------------------------------------ inside

    def _equation(self, s: Complexes, z: Complexes) -> tuple[Complexes, Complexes, Complexes]:
        """Return f(s) = s - s₁(s₂(s)), its derivative, and s₂."""
        k, rate = _k(self.first, s)
        other, turn = self.partner(z, k)
        other = other.real + 1j * np.maximum(other.imag, 0.0)
        back, back_rate = _k(self.second, other)
        again, again_turn = self.partner(z, back)
        return s - again, 1 - again_turn * back_rate * turn * rate, other

    def root(self, z: Complexes) -> tuple[Complexes, Complexes]:
        """Return s₁ and s₂ at 1-D z in C⁺ or inside the support.

        Raises:
            ToleranceNotMet: If a point is not reached.
        """
        s = np.where(z.imag > 0, z, z + 1j * np.maximum(np.abs(z), 1e-3 * self.scale))
        plain = FixedPoint(lambda t: t - self._equation(t, z)[0])
        start = solve(plain, Damped(), s, tolerance=1e-9, max_steps=PLAIN, throw=False).value
        found = solve(self._problem(z), Newton(), start, tolerance=1e-14, max_steps=40, throw=False)
        s = found.value
        lost = np.flatnonzero(~_reached(found))
        if lost.size:
            # From far above the axis, where s is near z, down to it.
            heights = [*(8 * self.scale * 4.0 ** -np.arange(DESCENT)), 0.0]
            chain = [self._problem(z[lost] + 1j * height) for height in heights]
            found = continuation(chain, Newton(), z[lost] + 1j * heights[0], max_steps=40, throw=False)
            s[lost] = found.value
            lost = lost[~_reached(found)]
        if lost.size:
            raise ToleranceNotMet(
                f"free convolution: no fixed point was reached at {lost.size} points, first at z = {z[lost[0]]:.17g}; "
                "ask for points further from the edges"
            )
        return s, self._equation(s, z)[2]

    def _problem(self, z: Complexes) -> Root:
        def residual(s: Complexes, index: Indices) -> tuple[Complexes, Complexes]:
            f, slope, _ = self._equation(s, z[index])
            return f, slope

        return Root(residual, inside=lambda s, index: s.imag > 0)

    # ------------------------------------------------------------------------------------------------ the real axis

    def _inverse(self, gap: Gap, c: Floats) -> Floats:
        """Return s in the gap at which the level of its law is c.

        In a variable that takes out the square roots at the gap's ends, next to which Newton's steps would creep.
        """
        if gap.outer:
            reach = self.tail(gap.law) / (c - self.infinity)
            right = reach < 0
            nearest = np.where(right, gap.high - reach - gap.low, gap.high - (gap.low - reach))
            base, side = np.where(right, gap.low, gap.high), np.where(right, 1.0, -1.0)
            # Wider than need be, by more than rounding.
            near = 0.9 * side * np.sqrt(np.maximum(nearest, 0.0))
            far = 1.1 * side * np.sqrt(np.abs(reach))
            lower, upper = np.minimum(near, far), np.maximum(near, far)
        else:
            base = np.full(c.shape, gap.low)
            lower, upper = np.zeros(c.shape), np.full(c.shape, np.pi)
        width = gap.high - gap.low

        def place(v: Floats, index: Indices) -> tuple[Floats, Floats]:
            if gap.outer:
                return base[index] + v * np.abs(v), 2 * np.abs(v)
            return base[index] + width * np.sin(v / 2) ** 2, 0.5 * width * np.sin(v)

        def residual(v: Floats, index: Indices) -> tuple[Floats, Floats, Floats]:
            s, rate = place(v, index)
            value, slope = self.level(gap.law, s + 0j)
            noise = ROUNDINGS * EPS * (np.abs(value) + abs(self.infinity) + np.abs(s * slope))
            return value.real - c[index], slope.real * rate, noise

        problem = Root(residual, lower=lower, upper=upper)
        # A level that the gap ends at, to rounding, is at that end.
        found = solve(problem, Bracketed(), 0.5 * (lower + upper), tolerance=0.0, throw=False)
        return place(found.value, np.arange(c.size))[0]

    def _along(self, pair: tuple[Gap, Gap], c: Floats) -> tuple[Floats, Floats]:
        """Return z and dz/dc at real levels of a pair of gaps."""
        # A transform may be infinite at the very end of a gap, where z does not rise: not a number says the same.
        with np.errstate(divide="ignore", invalid="ignore"):
            one, two = (self._inverse(gap, c) + 0j for gap in pair)
            return self.image(c + 0j, one, two).real, self.image_slope(c + 0j, one, two).real

    def _range(self, gap: Gap) -> tuple[float, float]:
        """Return the levels at the ends of a gap."""
        hair = 1e-14 * self.scale
        ends = np.array([gap.low + hair, gap.high - hair]) + 0j
        low, high = self.level(gap.law, ends)[0].real.tolist()
        return low, high

    @cached_property
    def scale(self) -> float:
        """The largest end of a support, in modulus."""
        return max(abs(edge) for law in (self.first, self.second) for edge in law.edges)

    @cached_property
    def complement(self) -> tuple[Found, ...]:
        """The gaps of the result, ascending: (left end, right end, pair of gaps, levels at the two)."""
        found = []
        for pair in product(gaps(self.first), gaps(self.second)):
            low, high = (
                pick(ends) for pick, ends in zip((max, min), zip(*map(self._range, pair), strict=True), strict=True)
            )
            if not low < high:
                continue
            parts = [(low, high)]
            if pair[0].outer and pair[1].outer:
                parts = [(self.infinity, high), (low, self.infinity)]
            for start, stop in parts:
                t = np.sin(np.linspace(0, np.pi / 2, LEVELS + 2)[1:-1]) ** 2
                first, last = (v * self.scale / (1 + abs(v * self.scale)) for v in (start, stop))
                t = first + (last - first) * t
                c = t / (1 - np.abs(t)) / self.scale
                c = c[(c > start) & (c < stop)]
                rising = np.flatnonzero(self._along(pair, c)[1] > 0)
                if not rising.size:
                    continue
                # An end may lie beyond the first or the last level that was looked at, or be the range's own.
                before, after = np.concatenate([[start], c]), np.concatenate([c, [stop]])
                ends = [
                    start if start == self.infinity else self._turn(pair, before[rising[0]], c[rising[0]], True),
                    stop if stop == self.infinity else self._turn(pair, c[rising[-1]], after[rising[-1] + 1], False),
                ]
                places = [
                    (-np.inf if end == start else np.inf)
                    if end == self.infinity and len(parts) > 1
                    else float(self._along(pair, np.array([end]))[0][0])
                    for end in ends
                ]
                found.append((places[0], places[1], pair, (ends[0], ends[1])))
        return tuple(sorted(found, key=lambda gap: gap[:2]))

    def _turn(self, pair: tuple[Gap, Gap], low: float, high: float, increasing: bool) -> float:
        """Return where dz/dc changes sign, or the end that it rises at: a search, in parts looked at together."""
        given = low if increasing else high
        for _ in range(SEARCHES):
            nodes = np.linspace(low, high, PARTS + 1)
            beyond = (self._along(pair, nodes[1:-1])[1] > 0) == increasing
            k = int(np.argmax(beyond)) if beyond.any() else PARTS - 1
            low, high = nodes[k], nodes[k + 1]
            if high - low <= LEVEL_ACCURACY * max(abs(low), abs(high)):
                break
        return given if given in (low, high) else float(0.5 * (low + high))

    @cached_property
    def support(self) -> tuple[Interval, ...]:
        """What the gaps leave, without atoms."""
        least = ATOMIC * self.scale
        found = []
        for (_, low, *_), (high, *_) in pairwise(self.complement):
            alone = high - low <= least and any(abs(place - low) <= least for place, _ in self.atoms)
            if low < high and not alone:
                found.append((low, high))
        return tuple(found)

    def _levels(self, z: ArrayLike) -> tuple[Complexes, Complexes, Complexes, Complexes]:
        """Return z, flat, the level there, and both subordination functions."""
        values = real_or_complex(z).ravel()
        c, one, two = (np.empty(values.shape, complex) for _ in range(3))
        off = np.zeros(values.shape, bool)
        for left, right, pair, (low, high) in self.complement:
            here = np.flatnonzero((values.imag == 0) & (values.real >= left) & (values.real <= right))
            if here.size:
                off[here] = True
                c[here] = self._real_level(values.real[here], pair, low, high)
                one[here], two[here] = (self._inverse(gap, c[here].real) for gap in pair)
        one[~off], two[~off] = self.root(values[~off])
        c[~off] = self.level(self.first, one[~off])[0]
        return values, c, one, two

    def _real_level(self, x: Floats, pair: tuple[Gap, Gap], low: float, high: float) -> Floats:
        def residual(c: Floats, index: Indices) -> tuple[Floats, Floats, Floats]:
            value, slope = self._along(pair, c)
            return value - x[index], slope, ROUNDINGS * EPS * (np.abs(x[index]) + self.scale + np.abs(c * slope))

        ends = np.full(x.shape, low), np.full(x.shape, high)
        problem = Root(residual, lower=ends[0], upper=ends[1])
        return solve(problem, Bracketed(), 0.5 * (ends[0] + ends[1]), tolerance=0.0).value

    @abstractmethod
    def overlap(self, z: Floats, spike: Floats, rate: Floats) -> Floats:
        """Return the squared overlap of an outlier z with its spike, given dz/ds₁."""

    def outliers(self, spike: float) -> tuple[Outlier, ...]:
        """Return where an eigenvalue of the first matrix goes, the largest overlap first; none where it is subcritical.

        There may be more than one: each gap of the result can have its own.

        Args:
            spike: An eigenvalue of the first matrix, of vanishing weight.
        """
        found = []
        for _, _, (first, second), (low, high) in self.complement:
            if not first.holds(spike):
                continue
            c = float(self.level(self.first, np.array([spike + 0j]))[0].real[0])
            if low < c < high:
                found.append(self._outlier(spike, second, c))
        return tuple(sorted(found, key=lambda outlier: -(outlier.overlap or 0.0)))

    def _outlier(self, spike: float, gap: Gap, c: float) -> Outlier:
        """Return the outlier; its error is what moving every input by its rounding does."""
        two = float(self._inverse(gap, np.array([c]))[0])
        shift = ROUNDINGS * EPS
        rate_two = abs(float(self.level(self.second, np.array([two + 0j]))[1].real[0]))
        move = shift * (self.scale + abs(two) + abs(c) / rate_two)
        one = spike + shift * (self.scale + abs(spike)) * np.array([0.0, 1.0, -1.0, 0.0, 0.0])
        other = two + move * np.array([0.0, 0.0, 0.0, 1.0, -1.0])
        level, slope = (part.real for part in self.level(self.first, one + 0j))
        z = self.image(level + 0j, one + 0j, other + 0j).real
        rate = self.image_slope(level + 0j, one + 0j, other + 0j).real * slope
        overlap = self.overlap(z, one, rate)
        off = max(float(np.abs(part / part[0] - 1).sum()) for part in (z, overlap))
        return Outlier(spike, float(z[0]), float(overlap[0]), off + 2 * shift)

    def stieltjes(self, z: ArrayLike) -> Complexes:
        """Return m(z), any shape."""
        values, c, _, _ = self._levels(z)
        return np.asarray(self.from_level(c, values)).reshape(np.shape(z))

    def evaluate(self, x: ArrayLike) -> Evaluation:
        """Return the density at real x, any shape, with an estimate of each relative error.

        Raises:
            BadInput: If a point is not finite.
            ToleranceNotMet: If no fixed point is reached at some point.
        """
        points = np.asarray(x, float)
        if not np.isfinite(points).all():
            raise BadInput("x: every point must be a finite number")
        flat = points.ravel()
        value, error = np.zeros(flat.shape), np.zeros(flat.shape)
        inside = np.zeros(flat.shape, bool)
        for low, high in self.support:
            inside |= (flat > low) & (flat < high)
        z = flat[inside] + 0j
        if z.size:
            one, two = self.root(z)
            f, slope, _ = self._equation(one, z)
            c, rate = self.level(self.first, one)
            value[inside] = self.from_level(c, z).imag / np.pi
            noise = np.abs(f) + 16 * EPS * (np.abs(z) + np.abs(one) + np.abs(two))
            error[inside] = 4 * noise / np.abs(slope) * np.abs(rate) / c.imag + 16 * EPS
        return Evaluation(value.reshape(points.shape), error.reshape(points.shape))


def _reached(found: Solution) -> NDArray[np.bool_]:
    return np.asarray((found.error <= 1e-8 * np.abs(found.value)) & (found.value.imag > 0))


def _k(law: Law, s: Complexes) -> tuple[Complexes, Complexes]:
    m, slope = law.transforms(s)
    return s + 1 / m, 1 - slope / m**2
