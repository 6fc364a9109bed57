"""The root u(z) of the forward map in the upper half-plane: found, certified, refined.

On the real axis inside a bulk the equation z(u) = x has exactly one root in C⁺ (all others but its
conjugate are real and interlace the atoms), so whatever converges there is the right one, and a proof that
some root lies within β < Im u of a computed u certifies it (`expansion`).

The residual is written around an anchor (an edge's critical point, or a minimum of Φ inside a bulk), which
removes the cancellation near edges; what rounding is left enters the proof through a bound on the residual's
own error. Points whose bound exceeds the target go through Newton with the residual in double-double, and,
should that not do, in mpmath.

Starting points come from closed forms for one to three atoms, and from `table` otherwise and where those are poor,
with a bracket behind them, so that no point depends on luck. Checked in tests/laws against certified polynomial roots.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import mpmath
import numpy as np
from numpy.typing import NDArray

from rmtfl.errors import ToleranceNotMet
from rmtfl.laws import precise
from rmtfl.laws.closed import ATOMS, NEAR, near_edge, pair, polynomials
from rmtfl.laws.doubledouble import UNIT, DoubleDouble
from rmtfl.laws.edges import blocks, images, join, join_images
from rmtfl.laws.expansion import EPS, Complexes, Expansion
from rmtfl.laws.forward import Floats, ForwardMap, Indices, Points
from rmtfl.laws.structure import Images, Structure
from rmtfl.laws.table import Table
from rmtfl.newton import refine
from rmtfl.solve import Bracketed, Newton, Root, solve

#: A root whose relative error is not below this counts as not found: nothing is returned for it.
UNPROVED = 1e-6

#: A minimum of Φ above 1 is an anchor where Φ - 1 is below this: with more, the terms around it cancel one another.
ANCHORED = 1.0

#: Laws of at most this many atoms keep the expansions of all anchors.
CACHED = 64


@dataclass(frozen=True)
class Target:
    """Points x + i y at which the root is wanted.

    Attributes:
        x: Real part; with `base`, the distance from that anchor's image, which then needs no subtraction.
        y: Imaginary part.
        base: Index of an anchor for each point, or None.
    """

    x: DoubleDouble
    y: Floats
    base: Indices | None = None

    def __getitem__(self, key: Indices | slice) -> Target:
        return Target(self.x[key], self.y[key], None if self.base is None else self.base[key])


@dataclass(frozen=True)
class Roots:
    """Roots u = anchor + h.

    Attributes:
        anchor: Position of each point's anchor, in double-double.
        h: Offset from it.
        error: Certified bound on the distance to the true root.
    """

    anchor: DoubleDouble
    h: Complexes
    error: Floats

    @property
    def u(self) -> Complexes:
        """The roots themselves, rounded to 2^-53 (|anchor| + |h|)."""
        value = self.h + self.anchor.lo
        value += self.anchor.hi
        return value


class Branch:
    """Finds u(z) for one law: inside the bulks, between them, and off the real axis.

    Attributes:
        target: Relative error of Im u (inside) or of u (elsewhere) that is not refined further.
    """

    def __init__(self, forward: ForwardMap, found: Structure, target: float = 2e-13) -> None:
        self.forward, self.structure, self.target = forward, found, target
        points, known = found.points, found.images
        bulk = np.arange(points.size) // 2
        position = forward.position(points)
        inner = np.flatnonzero(~found.gap & (found.least.hi < ANCHORED))
        if inner.size:
            points = join([points, found.minima[inner]])
            bulk = np.concatenate([bulk, np.cumsum(found.gap)[inner]])
            position = forward.position(points)
            order = np.lexsort((position.lo, position.hi, bulk))
            points, bulk, position = points[order], bulk[order], position[order]
            known = join_images([known, images(forward, found.minima[inner])])
            known = Images(known.value[order], known.error[order], known.slope[order], known.slope_error[order])
        self.points, self.bulk, self.position = points, bulk, position
        self.image, self.image_error = known.value, known.error
        self.slope, self.slope_error = known.slope, known.slope_error
        count = found.points.size // 2
        self.left = np.searchsorted(bulk, np.arange(count))
        self.right = np.append(self.left[1:], points.size) - 1
        self.critical = np.zeros(points.size, bool)
        self.critical[self.left] = self.critical[self.right] = True

    @cached_property
    def along(self) -> Floats:
        """How far each anchor is from its bulk's leftmost one, in u."""
        return (self.position - self.position[self.left[self.bulk]]).to_float()

    @cached_property
    def length(self) -> Floats:
        """The same of each bulk's rightmost one."""
        return np.asarray(self.along[self.right])

    @cached_property
    def width(self) -> Floats:
        """Widths of the bulks, in x."""
        edges = self.structure.edges
        return np.asarray((edges[1::2] - edges[0::2]).to_float())

    @cached_property
    def table(self) -> Table:
        """Starting points, made when first asked for."""
        return Table(self)

    @cached_property
    def _around(self) -> tuple[Floats, Floats]:
        """What `_rows` returns for all anchors, of a law of not too many atoms."""
        return self._rows(self.points)

    def _rows(self, points: Points) -> tuple[Floats, Floats]:
        d = np.ascontiguousarray(self.forward.differences(points).to_float().T)
        return d, self.forward.double_gwt2[:, None] / (d * d)

    @cached_property
    def _tangent(self) -> tuple[Floats, Floats]:
        """The slope z' at each anchor as it is used, 0 at an edge, and a bound on its error."""
        slope = np.abs(self.slope.hi)
        return np.where(self.critical, 0.0, self.slope.hi), self.slope_error + np.where(self.critical, slope, 0.0)

    @cached_property
    def _closed(self) -> tuple[Floats, Floats] | None:
        """Polynomials of the closed form, for laws that have one."""
        return polynomials(self._tangent[0], *self._around) if self.forward.atoms.size <= ATOMS else None

    def below(self, anchor: Indices, at: Target) -> DoubleDouble:
        """Return z(anchor) - x."""
        if at.base is None:
            return self.image[anchor] - at.x
        return (self.image[anchor] - self.image[at.base]) - at.x

    def distance(self, anchor: Indices, at: Target) -> Floats:
        """Return the same in doubles, to two roundings."""
        if at.base is None:
            return np.asarray((self.image.hi[anchor] - at.x.hi) + (self.image.lo[anchor] - at.x.lo))
        if at.base is anchor:
            return -at.x.hi
        return self.below(anchor, at).to_float()

    def expansion(self, anchor: Indices, at: Target) -> Expansion:
        """Return the equation z(u) = x + i y around the given anchors."""
        if self.forward.atoms.size <= CACHED:
            where, (d, b) = anchor, self._around
        else:
            used, where = np.unique(anchor, return_inverse=True)
            d, b = self._rows(self.points[used])
        slope, tilt = self._tangent
        floor = self.image_error[anchor]
        if at.base is not None:
            floor = np.where(anchor == at.base, 0.0, floor)
        a0 = np.empty(anchor.shape, complex)
        a0.real, a0.imag = self.distance(anchor, at), -at.y
        return Expansion(
            a0,
            slope[anchor],
            d.take(where, axis=1),
            b.take(where, axis=1),
            self.forward.double_gwt2,
            floor,
            tilt[anchor],
        )

    def inside(self, at: Target, bulk: Indices) -> Roots:
        """Return u(x + i0) for x strictly inside the given bulks.

        Raises:
            ToleranceNotMet: If a root cannot be certified.
        """
        if self._closed is None:
            return self._from_table(at, bulk)
        anchor = self._nearest(at, bulk)
        eq = self.expansion(anchor, at)
        with np.errstate(all="ignore"):
            h, error = eq.last_step(self._in_closed_form(eq, anchor))
            lost = np.flatnonzero(~(error <= self.target * h.imag))
        found = Roots(self.position[anchor], h, error)
        if lost.size:
            again = self._from_table(at[lost], bulk[lost])
            found.anchor.hi[lost], found.anchor.lo[lost] = again.anchor.hi, again.anchor.lo
            h[lost], error[lost] = again.h, again.error
        return found

    def _nearest(self, at: Target, bulk: Indices) -> Indices:
        """Return the anchor whose image is next to x."""
        if at.base is not None:
            return at.base
        order, middle = self._order
        anchor = order[middle.searchsorted(at.x.hi)]
        return anchor if self.critical.all() else np.where(self.bulk[anchor] == bulk, anchor, self.left[bulk])

    @cached_property
    def _order(self) -> tuple[Indices, Floats]:
        """The anchors by image, and the middles between their images."""
        order = np.argsort(self.image.hi, kind="stable")
        place = self.image.hi[order]
        return order, 0.5 * (place[1:] + place[:-1])

    def _in_closed_form(self, eq: Expansion, anchor: Indices) -> Complexes:
        assert self._closed is not None
        own, factor = self._closed
        a0 = eq.a0.real
        h = pair(own.take(anchor, axis=1) + a0 * factor.take(anchor, axis=1))
        if self.forward.atoms.size == ATOMS:
            two_terms, share = near_edge(a0, eq.d, eq.b)
            h = np.where((share < NEAR) & self.critical[anchor], two_terms, h)
        return h

    def _from_table(self, at: Target, bulk: Indices) -> Roots:
        anchor, h = self.table.start(at, bulk)
        eq = self.expansion(anchor, at)
        h, found = _newton(eq, h)
        lost = np.flatnonzero(~found)
        if lost.size:
            anchor[lost], h[lost] = self.table.bracket(at[lost], bulk[lost])
            eq = self.expansion(anchor, at)
            h[lost], _ = _newton(eq[lost], h[lost])
        return self._certify(eq, anchor, h, at, of_imag=True)

    def off_axis(self, z: Complexes) -> Roots:
        """Return u(z) for Im z > 0.

        Raises:
            ToleranceNotMet: If a root cannot be certified.
        """
        start = self.table.descend(z)
        order = np.argsort(self.position.hi)
        place = self.position.hi[order]
        after = np.clip(np.searchsorted(place, start.real), 1, place.size - 1)
        nearer = start.real - place[after - 1] < place[after] - start.real
        anchor = order[after - nearer]
        at = Target(DoubleDouble(z.real), z.imag)
        eq = self.expansion(anchor, at)
        h, _ = _newton(eq, start - self.position.hi[anchor])
        return self._certify(eq, anchor, h, at, of_imag=False)

    def outside(self, x: Floats, gap: Indices) -> Roots:
        """Return the real u(x) for x in component `gap` of the support's complement (0: left of all bulks).

        Raises:
            ToleranceNotMet: If a root cannot be certified.
        """
        ends = np.stack([self.left, self.right], 1).ravel()
        edges, count = self.structure.edges, ends.size
        below, above = 2 * gap - 1, 2 * gap
        has_below, has_above = below >= 0, above < count
        to_below = np.where(has_below, x - edges.hi[np.maximum(below, 0)], np.inf)
        to_above = np.where(has_above, edges.hi[np.minimum(above, count - 1)] - x, np.inf)
        from_below = to_below <= to_above
        anchor = ends[np.where(from_below, below, np.minimum(above, count - 1))]
        # A bracket for u: between the critical points; u < x on the far right, u > x - γ ∫ t dH on the far
        # left.
        place = self.position[ends]
        across = (place[np.minimum(above, count - 1)] - place[np.maximum(below, 0)]).to_float()
        inner = has_below & has_above
        here = self.position.hi[anchor]
        reach = float(self.forward.gwt.sum().hi)
        upper = np.where(from_below, np.where(inner, across, np.maximum(x - here, 0.0)), 0.0)
        lower = np.where(from_below, 0.0, np.where(inner, -across, np.minimum(x - reach - here, 0.0)))
        at = Target(DoubleDouble(x), np.zeros(x.shape))
        eq = self.expansion(anchor, at)

        def residual(h: Floats, index: Indices) -> tuple[Floats, Floats]:
            f, slope = eq[index].residual(h.astype(complex))
            return f.real, slope.real

        first = np.where(from_below, 1.0, -1.0) * np.minimum(
            upper - lower, np.sqrt(np.abs(eq.a0.real) * (upper - lower))
        )
        problem = Root(residual, lower=lower, upper=upper)
        h = solve(problem, Bracketed(), 0.5 * first, tolerance=1e-10, max_steps=300).value
        return self._certify(eq, anchor, h.astype(complex), at, of_imag=False)

    def _certify(self, eq: Expansion, anchor: Indices, h: Complexes, at: Target, *, of_imag: bool) -> Roots:
        """Bound every root's error, refining those that are not good enough."""
        position = self.position[anchor]
        with np.errstate(all="ignore"):
            h, error = eq.last_step(h)

        def poor(limit: float) -> Indices:
            scale = np.abs(h.imag) if of_imag else np.abs((position + h.real).to_float() + 1j * h.imag)
            scale = np.where(scale > 0, scale, np.abs(h))
            return np.flatnonzero(~(error <= limit * scale) | (of_imag & ~(error < h.imag)))

        wide = poor(self.target)
        for part in blocks(wide.size, 8 * self.forward.atoms.size):
            some = wide[part]
            h[some], error[some] = self._refine(eq[some], anchor[some], h[some], at[some])
        for i in poor(self.target).tolist():
            self._by_digits(i, anchor[i], h, error, at)
        failed = poor(UNPROVED)
        if failed.size:
            raise ToleranceNotMet(
                f"the law's root could not be certified at {failed.size} points, "
                f"first at x = {position.hi[failed[0]] + h[failed[0]].real!r} of u"
            )
        return Roots(position, h, error)

    def _by_digits(self, i: int, anchor: int, h: Complexes, error: Floats, at: Target) -> None:
        """Solve for one point with mpmath."""
        with mpmath.workdps(60):
            x = mpmath.mpf(float(at.x.hi[i])) + mpmath.mpf(float(at.x.lo[i]))
            off = 0.0
            if at.base is not None:
                image = self.image[at.base[i]]
                x += mpmath.mpf(float(image.hi)) + mpmath.mpf(float(image.lo))
                off = float(self.image_error[at.base[i]])
            base = precise.point(self.forward, self.points, int(anchor))
            u = precise.root(self.forward, mpmath.mpc(x, float(at.y[i])), complex(h[i]), base)
            slope = abs(complex(precise.PreciseMap(self.forward).phi_minus_one(u)))
            new = complex(u - base)
        # Newton's last correction is 50 digits down; what is left is rounding h, and x where its base is.
        bound = 2 * EPS * (new.imag if new.imag else abs(new)) + 2 * off / slope
        if not error[i] <= bound:
            h[i], error[i] = new, bound

    def _refine(self, eq: Expansion, anchor: Indices, h: Complexes, at: Target) -> tuple[Complexes, Floats]:
        """Newton with the residual in double-double."""
        points = self.points[anchor]
        d = self.forward.differences(points)
        b = self.forward.gwt2 / (d * d)
        a0, a1 = self.below(anchor, at), self.slope[anchor]

        def residual(value: DoubleDouble) -> Complexes:
            re, im = value[0], value[1]
            p = d + re[:, None]
            q = b / (p * p + (im * im)[:, None])
            s0, s1 = q.sum(), (q * p).sum()
            inner, turn = a1 + re * s1 + im * im * s0, im * (s1 - re * s0)
            real = a0 + re * inner - im * turn
            imag = re * turn + im * inner - at.y
            return np.asarray(real.to_float() + 1j * imag.to_float())

        def correction(value: DoubleDouble) -> tuple[Floats, Floats]:
            here = value.hi[0] + 1j * value.hi[1]
            _, slope = eq.residual(here)
            with np.errstate(divide="ignore", invalid="ignore"):
                step = residual(value) / slope
            step = np.where(np.isfinite(step), step, 0.0)
            return np.stack([step.real, step.imag]), np.abs(value.hi)

        value, _ = refine(correction, DoubleDouble(np.stack([h.real, h.imag])), tolerance=1e-18)
        rounded = value.to_float()
        found = rounded[0] + 1j * rounded[1]
        exact = replace(eq, a1=self.slope.hi[anchor], tilt=self.slope_error[anchor])
        return found, exact.radius(found, residual(value), 16 * UNIT)


def _newton(eq: Expansion, start: Complexes) -> tuple[Complexes, NDArray[np.bool_]]:
    """Newton around the anchors, kept in C⁺; and where it arrived."""
    problem = Root(
        lambda h, index: eq[index].residual(h),
        inside=lambda h, index: h.imag > 0,
        scale=lambda h, index: np.abs(h.imag),
    )
    found = solve(problem, Newton(), start, tolerance=1e-5, max_steps=25, throw=False)
    # Newton squares its last step, and takes one more where it is certified; one that stalls left a usable start.
    return found.value, found.error <= 1e-4 * np.abs(found.value.imag)
