"""The root u(z) of the forward map in the upper half-plane: found, certified, refined.

On the real axis inside a bulk the equation z(u) = x has exactly one root in C⁺ (all others but its
conjugate are real and interlace the atoms), so whatever converges there is the right one, and a proof that
some root lies within β < Im u of a computed u certifies it. The proof is Smale's: with β₁ = |f/f'| and
γ₁ = sup_k |f^(k)/(k! f')|^{1/(k-1)}, a root lies within 2β₁ of u if β₁ γ₁ < 0.157 (Blum, Cucker, Shub and
Smale, Complexity and Real Computation, 1998, §8.2). Here f^(k)/k! is at most P/δ^{k-1}, with
P = γ Σ w t²/|u - t|² and δ the distance to the nearest atom, so γ₁ <= max(1, P/|f'|)/δ.

The residual is written around an anchor (an edge's critical point, or a minimum of Φ inside a bulk), which
removes the cancellation near edges; what rounding is left enters β₁ through a bound on the residual's own
error. Points whose bound exceeds the target go through Newton with the residual in double-double, and,
should that not do, in mpmath.

Starting points come from `table`, with a bracket behind them, so that no point depends on luck. Checked in
tests/laws against certified polynomial roots.

The rounding bound takes the errors of a K-term sum as independent (growth sqrt K, Higham and Mary, SIAM J.
Sci. Comput. 41, 2019); everything else in it is a worst case.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import mpmath
import numpy as np
from numpy.typing import NDArray

from rmtfl.errors import ToleranceNotMet
from rmtfl.laws import precise
from rmtfl.laws.doubledouble import UNIT, DoubleDouble
from rmtfl.laws.edges import Structure, blocks, images, join, join_images
from rmtfl.laws.forward import Floats, ForwardMap, Indices
from rmtfl.laws.table import Table
from rmtfl.solve import Bracketed, Newton, Root, refine, solve

Complexes = NDArray[np.complex128]

#: Rounding unit of a double.
EPS = 2.0**-53

#: A root whose relative error is not below this counts as not found: nothing is returned for it.
UNPROVED = 1e-6

#: Smale's constant (13 - 3 sqrt 17)/4 = 0.1577, below which β γ proves a root within 2 β.
SMALE = 0.157


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
        """The roots themselves."""
        return np.asarray((self.anchor + self.h.real).to_float() + 1j * self.h.imag)


@dataclass(frozen=True)
class Expansion:
    """The equation z(anchor + h) = target around each point's anchor: a0 + a1 h + h² Σ b/(d + h) = 0.

    Attributes:
        a0: z(anchor) - target, complex, shape (N,).
        a1: z'(anchor).
        d: anchor - t, shape (N, K).
        b: γ w t²/d².
        floor: Error of a0, beyond its rounding.
        tilt: The same for a1.
    """

    a0: Complexes
    a1: Floats
    d: Floats
    b: Floats
    floor: Floats
    tilt: Floats

    def __getitem__(self, key: Indices) -> Expansion:
        if key.size == self.a0.size:
            return self
        return Expansion(*(getattr(self, name)[key] for name in self.__dataclass_fields__))

    def residual(self, h: Complexes) -> tuple[Complexes, Complexes]:
        """Return f and f' at h, in real arithmetic: 1/(d + h) = (d + Re h - i Im h)/|d + h|²."""
        re, im = h.real, h.imag
        p = self.d + re[:, None]
        inverse = 1 / (p * p + (im * im)[:, None])
        q = self.b * inverse
        s0, s1 = q.sum(1), np.einsum("ij,ij->i", q, p)
        g0, g1 = np.einsum("ij,ij->i", q, inverse), np.einsum("ij,ij,ij->i", q, inverse, p)
        psi = s1 - 1j * (im * s0)
        psi_slope = -(s0 - 2 * im**2 * g0) + 2j * im * g1
        return self.a0 + h * (self.a1 + h * psi), self.a1 + h * (2 * psi + h * psi_slope)

    def certificate(self, h: Complexes, f: Complexes, unit: float) -> Floats:
        """Return a radius around h that holds a root, or inf where none is proved.

        Args:
            h: Offsets.
            f: Residuals there.
            unit: Relative error of each term of the residual as it was computed.
        """
        _, slope = self.residual(h)
        size = np.abs(h)
        distance = np.abs(self.d + h[:, None])
        pulled = self.b / distance
        magnified = np.einsum("ij,ij->i", pulled, 1 + np.abs(self.d) / distance)
        weight = np.einsum("ij,ij->i", pulled, self.d**2 / distance)
        spread = 8 + 2 * np.sqrt(self.d.shape[1])
        noise = unit * spread * (np.abs(self.a0) + np.abs(self.a1) * size + size**2 * magnified)
        noise += self.floor + self.tilt * size
        # The slope is in doubles whatever the residual is in: its own rounding is taken off.
        low = np.abs(slope) - EPS * spread * (np.abs(self.a1) + 3 * size * magnified * (1 + size / distance.min(1)))
        with np.errstate(divide="ignore", invalid="ignore"):
            beta = (np.abs(f) + noise) / low
            gamma = np.maximum(1.0, 1.001 * weight / low) / distance.min(1)
            return np.where((low > 0) & (beta * gamma < SMALE), 2 * beta, np.inf)


class Branch:
    """Finds u(z) for one law: inside the bulks, between them, and off the real axis.

    Attributes:
        target: Relative error of Im u (inside) or of u (elsewhere) that is not refined further.
    """

    def __init__(self, forward: ForwardMap, found: Structure, target: float = 2e-13) -> None:
        self.forward, self.structure, self.target = forward, found, target
        inner = np.flatnonzero(~found.gap)
        points = join([found.points, found.minima[inner]])
        bulk = np.concatenate([np.arange(found.points.size) // 2, np.cumsum(found.gap)[inner]])
        position = forward.position(points)
        order = np.lexsort((position.lo, position.hi, bulk))
        self.points, self.bulk, self.position = points[order], bulk[order], position[order]
        known = join_images([found.images, images(forward, found.minima[inner])])
        self.image, self.image_error = known.value[order], known.error[order]
        self.slope, self.slope_error = known.slope[order], known.slope_error[order]
        count = found.points.size // 2
        self.left = np.searchsorted(self.bulk, np.arange(count))
        self.right = np.append(self.left[1:], points.size) - 1
        self.along = (self.position - self.position[self.left[self.bulk]]).to_float()
        self.length = self.along[self.right]
        self.width = (found.edges[1::2] - found.edges[0::2]).to_float()

        self.critical = np.zeros(points.size, bool)
        self.critical[self.left] = self.critical[self.right] = True

    @cached_property
    def table(self) -> Table:
        """Starting points, made when first asked for."""
        return Table(self)

    def below(self, anchor: Indices, at: Target) -> DoubleDouble:
        """Return z(anchor) - x."""
        if at.base is None:
            return self.image[anchor] - at.x
        return (self.image[anchor] - self.image[at.base]) - at.x

    def expansion(self, anchor: Indices, at: Target) -> Expansion:
        """Return the equation z(u) = x + i y around the given anchors."""
        used, where = np.unique(anchor, return_inverse=True)
        d = self.forward.differences(self.points[used]).to_float()
        b = self.forward.double_gwt2 / d**2
        slope, critical = self.slope.hi[used], self.critical[used]
        own = np.zeros(anchor.shape, bool) if at.base is None else anchor == at.base
        return Expansion(
            np.asarray(self.below(anchor, at).to_float() - 1j * at.y, complex),
            np.where(critical, 0.0, slope)[where],
            d[where],
            b[where],
            np.where(own, 0.0, self.image_error[anchor]),
            (self.slope_error[used] + np.where(critical, np.abs(slope), 0.0))[where],
        )

    def inside(self, at: Target, bulk: Indices) -> Roots:
        """Return u(x + i0) for x strictly inside the given bulks.

        Raises:
            ToleranceNotMet: If a root cannot be certified.
        """
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
        h = solve(problem, Bracketed(), 0.5 * first, tolerance=1e-15, max_steps=300).value
        return self._certify(eq, anchor, h.astype(complex), at, of_imag=False)

    def _certify(self, eq: Expansion, anchor: Indices, h: Complexes, at: Target, *, of_imag: bool) -> Roots:
        """Bound every root's error, refining those that are not good enough."""
        position = self.position[anchor]
        f, _ = eq.residual(h)
        error = eq.certificate(h, f, EPS)

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
        exact = Expansion(eq.a0, self.slope.hi[anchor], eq.d, eq.b, eq.floor, self.slope_error[anchor])
        return found, exact.certificate(found, residual(value), 16 * UNIT)


def _newton(eq: Expansion, start: Complexes) -> tuple[Complexes, NDArray[np.bool_]]:
    """Newton around the anchors, kept in C⁺; and where it arrived."""
    problem = Root(
        lambda h, index: eq[index].residual(h),
        inside=lambda h, index: h.imag > 0,
        scale=lambda h, index: np.abs(h.imag),
    )
    found = solve(problem, Newton(), start, tolerance=1e-9, max_steps=25, throw=False)
    # Newton squares its last step, so 1e-9 is the rounding level; one that stalls above it left a usable
    # start.
    return found.value, found.error <= 1e-4 * np.abs(found.value.imag)
