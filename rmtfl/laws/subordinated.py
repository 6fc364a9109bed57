"""Laws that one explicit map subordinates to another: ν ⊠ Marchenko-Pastur and ν ⊞ semicircle, for any law ν.

Both transforms follow from m_ν at u, the root in C⁺ of an explicit z(u):

    sample covariance of population ν:   z = u (1 - γ - γ u m_ν(u)),   m(z) = u m_ν(u)/z        (p x p view)
    ν plus a Wigner matrix, variance v:  z = u - v m_ν(u),             m(z) = m_ν(u)

(Silverstein 1995; Biane 1997, Pastur 1972.) With ν continuous (`PiecewiseUniform`, `MarchenkoPastur`, or a law made
here) this is the general form of what `generalized` does for atoms. In both z' = 1 - Φ with Φ convex between the
pieces of ν and infinite at their ends, so each gap of ν holds two edges or none, and one lies on either side; and
along the curve Im z(s + i v) = 0, x = Re z increases with s, which brackets every root.

Where it breaks down: in plain doubles, without anchors: close to an edge the relative error grows like
1e-16/(distance), and `evaluate` says so; contact of two bulks is decided by the sign of a double. Checked in
tests/laws/test_subordinated.py against closed forms, free cumulants, quadrature and the atomic law.
"""

from __future__ import annotations

from abc import abstractmethod
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rmtfl.errors import BadInput, ToleranceNotMet
from rmtfl.laws.base import Evaluation, Floats, Interval, Law, real_or_complex
from rmtfl.laws.forward import Indices
from rmtfl.laws.generalized import moments_from_free_cumulants
from rmtfl.laws.quadrature import EvaluatedLaw
from rmtfl.solve import Bracketed, Newton, Root, Solution, solve

Complexes = NDArray[np.complex128]
EPS = 2.0**-53

#: An evaluation of z(u) is good to so many roundings of its largest part.
ROUNDINGS = 16

#: Logarithm of the smallest distance to a piece of ν at which a critical point is looked for.
CLOSEST = -36.0


class Subordinated(EvaluatedLaw):
    """A law with m(z) an explicit function of u(z), z(u) explicit.

    Attributes:
        base: The law ν.
    """

    base: Law

    @abstractmethod
    def forward(self, u: Complexes) -> tuple[Complexes, Complexes]:
        """Return z(u) and z'(u)."""

    @abstractmethod
    def from_root(self, u: Complexes, z: Complexes) -> Complexes:
        """Return m(z), given the root."""

    @abstractmethod
    def weight(self, u: Complexes) -> Floats:
        """Return 1 - Im z(u)/Im u, a decreasing function of Im u."""

    @property
    @abstractmethod
    def reach(self) -> float:
        """How far u may be from z - offset: |u - z + offset| <= reach."""

    @property
    @abstractmethod
    def offset(self) -> float:
        """Where u is near z - offset at infinity."""

    @cached_property
    def critical(self) -> Floats:
        """Real points where z' = 0, in pairs (left and right end of a bulk), ascending."""
        pieces = sorted([*self.base.support, *((a, a) for a, mass in self.base.atoms if mass > 0)])
        pieces = [piece for piece in pieces if self._charged(piece)]
        far = 4 * (self.reach + abs(self.offset)) + pieces[-1][1] - pieces[0][0]

        def slope(u: Floats) -> Floats:
            # At the very end of a piece z' is -inf, which comes out as 0 times inf.
            with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
                value = np.real(self.forward(np.asarray(u, complex))[1])
            return np.where(np.isfinite(value), value, -np.inf)

        def crossing(inner: float, outer: float) -> float:
            # z' is -inf at the end of a piece (inner) and positive at outer; bisection on the logarithm of the
            # distance, since bulks of small mass end next to their piece.
            def residual(log: Floats, index: Indices) -> tuple[Floats, Floats]:
                del index
                u = inner + (outer - inner) * np.exp(log)
                return slope(u), np.full(u.shape, np.nan)

            nearest = inner + (outer - inner) * np.exp(CLOSEST)
            if inner == 0 and slope(np.array([nearest]))[0] > 0:
                # Only at 0, where t² tames a population that reaches it: the edge is a hard one. (Elsewhere `nearest`
                # may be inside the piece, by the rounding of its end.)
                return inner
            problem = Root(residual, lower=np.array([CLOSEST]), upper=np.array([0.0]))
            # Where z' stays positive down to `nearest`, that is the answer, to rounding.
            found = solve(problem, Bracketed(), np.array([-1.0]), tolerance=0.0, throw=False)
            return float(inner + (outer - inner) * np.exp(found.value[0]))

        points = [crossing(pieces[0][0], pieces[0][0] - far)]
        for (_, left), (right, _) in pairwise(pieces):
            if right <= left:
                continue
            middle = self._flattest(left, right)
            if slope(np.array([middle]))[0] > 0:
                points += [crossing(left, middle), crossing(right, middle)]
        points.append(crossing(pieces[-1][1], pieces[-1][1] + far))
        return np.array(points)

    def _charged(self, piece: Interval) -> bool:
        """Tell whether a piece of ν acts on the map."""
        del self
        return piece[1] >= piece[0]

    def _flattest(self, left: float, right: float) -> float:
        """Return where z' is greatest between two pieces of ν: golden section on a concave function."""
        golden = (5**0.5 - 1) / 2
        low, high = left, right
        for _ in range(80):
            a, b = high - golden * (high - low), low + golden * (high - low)
            va, vb = (float(np.real(self.forward(np.array([c + 0j]))[1])[0]) for c in (a, b))
            low, high = (low, b) if va > vb else (a, high)
        return 0.5 * (low + high)

    @cached_property
    def support(self) -> tuple[Interval, ...]:
        """Images of the critical points."""
        with np.errstate(invalid="ignore", divide="ignore"):
            ends = np.real(self.forward(np.asarray(self.critical, complex))[0])
        ends = np.where(self.critical == 0, 0.0, ends) if isinstance(self, SampleCovariance) else ends
        return tuple(zip(ends[0::2].tolist(), ends[1::2].tolist(), strict=True))

    def root(self, z: Complexes) -> Complexes:
        """Return u(z) for 1-D z in C⁺ or, as a limit, inside the support.

        Raises:
            ToleranceNotMet: If no root is reached at some point.
        """

        def residual(u: Complexes, index: Indices) -> tuple[Complexes, Complexes]:
            value, slope = self.forward(u)
            return value - z[index], slope

        start = z - self.offset + 1j * self.reach
        problem = Root(residual, inside=lambda u, index: u.imag > 0)
        found = solve(problem, Newton(), start, tolerance=1e-13, max_steps=60, throw=False)
        u = found.value
        lost = np.flatnonzero(~_reached(found))
        if lost.size:
            level = z.imag[lost]
            centre = z.real[lost] - self.offset

            def on_level(s: Floats, index: Indices) -> tuple[Floats, Floats]:
                here = s + 1j * self._height(s, level[index])
                f, slope = residual(here, lost[index])
                return f.real, np.abs(slope) ** 2 / np.where(slope.real > 0, slope.real, np.abs(slope))

            line = Root(on_level, lower=centre - self.reach, upper=centre + self.reach)
            # A start, no more: what Newton makes of it is held against the equation.
            s = solve(line, Bracketed(), centre, tolerance=1e-12, throw=False).value
            start = s + 1j * self._height(s, level)
            again = Root(lambda u, index: residual(u, lost[index]), inside=lambda u, index: u.imag > 0)
            found = solve(again, Newton(), start, tolerance=1e-13, max_steps=60, throw=False)
            u[lost] = found.value
            lost = lost[~_reached(found)]
        if lost.size:
            raise ToleranceNotMet(
                f"no root was reached at {lost.size} points, first at z = {z[lost[0]]:.17g}; ask for points further "
                "from the edges"
            )
        return u

    def _height(self, s: Floats, level: Floats) -> Floats:
        """Return v with Im z(s + i v) = level: v (1 - weight) = level, in log v; next to 0 where there is none."""

        def residual(log: Floats, index: Indices) -> tuple[Floats, Floats]:
            v = np.exp(log)
            return v * (1 - self.weight(s[index] + 1j * v)) - level[index], np.full(v.shape, np.nan)

        top = np.log(level + self.reach + 1e-300) + 1e-9
        problem = Root(residual, lower=np.full(s.shape, -60.0), upper=top)
        return np.exp(solve(problem, Bracketed(), 0.5 * (top - 60), tolerance=1e-10, throw=False).value)

    def _between(self, x: Floats) -> Complexes:
        """Return the real u(x) off the support."""
        ends = np.array([edge for interval in self.support for edge in interval])
        count = np.searchsorted(ends, x)
        bounds = np.concatenate([[-np.inf], self.critical, [np.inf]])
        span = self.reach + abs(self.offset) + np.abs(x - self.offset)
        lower = np.maximum(bounds[count], np.minimum(x - self.offset, self.critical[0]) - span)
        upper = np.minimum(bounds[count + 1], np.maximum(x - self.offset, self.critical[-1]) + span)

        def residual(u: Floats, index: Indices) -> tuple[Floats, Floats, Floats]:
            value, slope = self.forward(np.asarray(u, complex))
            return value.real - x[index], slope.real, ROUNDINGS * EPS * (np.abs(x[index]) + np.abs(u) + self.reach)

        problem = Root(residual, lower=lower, upper=upper)
        return solve(problem, Bracketed(), 0.5 * (lower + upper), tolerance=0.0).value + 0j

    def _solve(self, z: ArrayLike) -> tuple[Complexes, Complexes]:
        values = real_or_complex(z).ravel()
        u = np.empty(values.shape, complex)
        ends = np.array([edge for interval in self.support for edge in interval])
        off = (values.imag == 0) & (np.searchsorted(ends, values.real) % 2 == 0)
        u[~off] = self.root(values[~off])
        if off.any():
            u[off] = self._between(values.real[off])
        return u, values

    def stieltjes(self, z: ArrayLike) -> Complexes:
        """Return m(z), any shape."""
        u, values = self._solve(z)
        return self.from_root(u, values).reshape(np.shape(z))

    def stieltjes_slope(self, z: ArrayLike) -> Complexes:
        """Return m'(z), any shape, from the chain rule with a complex step of the explicit m(u)."""
        u, values = self._solve(z)
        return self.slope_from_root(u, values).reshape(np.shape(z))

    @abstractmethod
    def slope_from_root(self, u: Complexes, z: Complexes) -> Complexes:
        """Return m'(z), given the root."""

    def evaluate(self, x: ArrayLike) -> Evaluation:
        """Return the density at real x, any shape, with an estimate of each relative error.

        Raises:
            BadInput: If a point is not finite.
            ToleranceNotMet: If no root is reached at some point.
        """
        points = np.asarray(x, float)
        if not np.isfinite(points).all():
            raise BadInput("x: every point must be a finite number")
        flat = points.ravel()
        value, error = np.zeros(flat.shape), np.zeros(flat.shape)
        for low, high in self.support:
            inside = np.flatnonzero((flat > low) & (flat < high))
            if inside.size:
                z = flat[inside] + 0j
                u = self.root(z)
                image, slope = self.forward(u)
                value[inside] = self.from_root(u, z).imag / np.pi
                noise = np.abs(image - z) + ROUNDINGS * EPS * (np.abs(z) + np.abs(u) + self.reach)
                error[inside] = 4 * noise / (np.abs(slope) * u.imag) + ROUNDINGS * EPS
        return Evaluation(value.reshape(points.shape), error.reshape(points.shape))


class SampleCovariance(Subordinated):
    """Eigenvalues of the p x p sample covariance of a population law: base ⊠ Marchenko-Pastur.

    Args:
        base: Law of the population's eigenvalues, nonnegative.
        ratio: γ = p/n.
    """

    def __init__(self, base: Law, ratio: float) -> None:
        if not (np.isfinite(ratio) and ratio > 0):
            raise BadInput(f"ratio = {ratio!r}: a positive number is needed")
        if base.support[0][0] < 0 or any(place < 0 for place, _ in base.atoms):
            raise BadInput(f"base: its support {base.support} must be nonnegative")
        self.base, self.ratio = base, float(ratio)
        self._moments = base.moments(2)

    @property
    def atoms(self) -> tuple[tuple[float, float], ...]:
        """The point mass at 0."""
        own = sum(mass for place, mass in self.base.atoms if place == 0)
        null = max(own, 1 - 1 / self.ratio)
        return ((0.0, null),) if null > 0 else ()

    @property
    def offset(self) -> float:
        """γ ∫ t dν."""
        return float(self.ratio * self._moments[0])

    @property
    def reach(self) -> float:
        """sqrt(γ ∫ t² dν)."""
        return float(np.sqrt(self.ratio * self._moments[1]))

    def _charged(self, piece: Interval) -> bool:
        return piece[1] > 0

    def forward(self, u: Complexes) -> tuple[Complexes, Complexes]:
        """Return z(u) = u (1 - γ - γ u m_ν(u)) and its derivative."""
        m, slope = self.base.stieltjes(u), self.base.stieltjes_slope(u)
        gamma = self.ratio
        return u * (1 - gamma - gamma * u * m), 1 - gamma - 2 * gamma * u * m - gamma * u**2 * slope

    def weight(self, u: Complexes) -> Floats:
        """Return γ ∫ t²/|u - t|² dν = 1 - Im z/Im u."""
        value = u * (1 - self.ratio - self.ratio * u * self.base.stieltjes(u))
        return np.asarray(1 - value.imag / u.imag)

    def from_root(self, u: Complexes, z: Complexes) -> Complexes:
        """Return m(z) = u m_ν(u)/z."""
        return np.asarray(u * self.base.stieltjes(u) / z)

    def slope_from_root(self, u: Complexes, z: Complexes) -> Complexes:
        """Return m'(z)."""
        m, slope = self.base.stieltjes(u), self.base.stieltjes_slope(u)
        rate = 1 / self.forward(u)[1]
        return np.asarray((m + u * slope) * rate / z - u * m / z**2)

    def moments(self, count: int) -> Floats:
        """Return the moments, from the companion law's free cumulants γ ∫ t^k dν."""
        return moments_from_free_cumulants((self.ratio * self.base.moments(count)).tolist()) / self.ratio


class PlusSemicircle(Subordinated):
    """Eigenvalues of A + W, A of law base, W Wigner of the given variance: base ⊞ semicircle.

    Args:
        base: Law of A.
        variance: Of the semicircle.
    """

    def __init__(self, base: Law, variance: float) -> None:
        if not (np.isfinite(variance) and variance > 0):
            raise BadInput(f"variance = {variance!r}: a positive number is needed")
        self.base, self.variance = base, float(variance)

    @property
    def offset(self) -> float:
        """0: u is near z at infinity."""
        return 0.0

    @property
    def reach(self) -> float:
        """sqrt(variance): |v m_ν| is at most that where Im z >= 0."""
        return float(np.sqrt(self.variance))

    def forward(self, u: Complexes) -> tuple[Complexes, Complexes]:
        """Return z(u) = u - v m_ν(u) and its derivative."""
        m, slope = self.base.stieltjes(u), self.base.stieltjes_slope(u)
        return np.asarray(u - self.variance * m), np.asarray(1 - self.variance * slope)

    def weight(self, u: Complexes) -> Floats:
        """Return v ∫ dν/|u - t|²."""
        return np.asarray(self.variance * self.base.stieltjes(u).imag / u.imag)

    def from_root(self, u: Complexes, z: Complexes) -> Complexes:
        """Return m(z) = m_ν(u)."""
        del z
        return self.base.stieltjes(u)

    def slope_from_root(self, u: Complexes, z: Complexes) -> Complexes:
        """Return m'(z)."""
        del z
        slope = self.base.stieltjes_slope(u)
        return np.asarray(slope / (1 - self.variance * slope))

    def moments(self, count: int) -> Floats:
        """Return the moments, from free cumulants: those of the base, and the variance."""
        cumulants = free_cumulants_from_moments(self.base.moments(count))
        if count > 1:
            cumulants[1] += self.variance
        return moments_from_free_cumulants(cumulants)


def _reached(found: Solution) -> NDArray[np.bool_]:
    return np.asarray((found.error <= 1e-6 * np.abs(found.value)) & (found.value.imag > 0))


def free_cumulants_from_moments(moments: Floats) -> list[float]:
    """Return κ_1, ..., κ_n: each from its moment less what the lower cumulants give (see the inverse)."""
    cumulants: list[float] = []
    for k in range(1, len(moments) + 1):
        rest = moments_from_free_cumulants([*cumulants, 0.0])[k - 1]
        cumulants.append(float(moments[k - 1] - rest))
    return cumulants
