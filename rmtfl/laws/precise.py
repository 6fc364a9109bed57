"""The generalized Marchenko-Pastur law with as many digits as asked, in mpmath: what doubles cannot decide.

The same forward map as `forward`, over exact rational data, so that the only error is mpmath's rounding and
the truncation of Newton's iteration, which is run until its correction is below the working precision. Slow
(milliseconds a number): for arbitrary precision on request, and for the few decisions and points where
double-double's bound is not enough. Checked against certified polynomial roots in tests/laws.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import mpmath
from mpmath import mpf

from rmtfl.errors import ToleranceNotMet

if TYPE_CHECKING:
    from rmtfl.laws.forward import ForwardMap, Points
    from rmtfl.laws.structure import Structure

#: Contact of two bulks is not looked for beyond this many digits.
LAST_DIGITS = 400


def number(x: Fraction | float) -> Any:
    """Return x as an mpf at the working precision."""
    exact = Fraction(x)
    return mpf(exact.numerator) / exact.denominator


class PreciseMap:
    """The forward map at mpmath's working precision when it was made."""

    def __init__(self, forward: ForwardMap) -> None:
        self.gamma = number(forward.exact_ratio)
        self.t = [number(a) for a in forward.exact_weights]
        self.gw = [number(forward.exact_ratio * w) for w in forward.exact_weights.values()]
        self.excess = number(forward.exact_excess)

    def z(self, u: Any) -> Any:
        """Return the forward map at u, written over the exact excess."""
        total = mpmath.fsum(g / (u - t) for g, t in zip(self.gw, self.t, strict=True))
        return u * (u * total - self.excess)

    def phi_minus_one(self, u: Any) -> Any:
        """Return Φ(u) - 1, written over the exact excess."""
        total = mpmath.fsum(g * (2 * t - u) / (u - t) ** 2 for g, t in zip(self.gw, self.t, strict=True))
        return self.excess + u * total

    def power_sum(self, u: Any, k: int) -> Any:
        """Return γ Σ w t²/(u - t)^k."""
        return mpmath.fsum(g * t**2 / (u - t) ** k for g, t in zip(self.gw, self.t, strict=True))


def newton(step: Callable[[Any], Any], start: Any, *, guard: int = 8, max_steps: int = 400) -> Any:
    """Iterate u ← u - step(u) until the correction is `guard` digits above the working precision.

    Raises:
        ToleranceNotMet: If it does not get there.
    """
    u = start
    last = mpmath.inf
    goal, half = mpf(10) ** (guard - mpmath.mp.dps), mpf(10) ** -(mpmath.mp.dps // 2)
    for _ in range(max_steps):
        change = step(u)
        u -= change
        # Below half the digits Newton squares what is left: a correction that does not shrink is rounding.
        settled = abs(change) < half * abs(u) and abs(change) >= last
        if settled or abs(change) <= goal * abs(u):
            return u
        last = abs(change)
    raise ToleranceNotMet(f"Newton did not reach {mpmath.mp.dps - guard} digits in {max_steps} steps")


def point(forward: ForwardMap, points: Points, i: int) -> Any:
    """Return one of the points as an mpf."""
    r = int(points.reference[i])
    base = Fraction(0) if r < 0 else Fraction(float(forward.atoms[r]))
    return number(base + Fraction(float(points.offset.hi[i])) + Fraction(float(points.offset.lo[i])))


def least(forward: ForwardMap, minima: Points, i: int) -> tuple[Any, Any]:
    """Return the minimiser of Φ in gap i and Φ - 1 there, at the working precision."""
    precise = PreciseMap(forward)
    u = newton(lambda v: precise.power_sum(v, 3) / (-3 * precise.power_sum(v, 4)), point(forward, minima, i))
    return u, precise.phi_minus_one(u)


def sign_of_least(forward: ForwardMap, minima: Points, i: int) -> tuple[int, int]:
    """Return the sign of Φ - 1 at its minimum in gap i, and the digits it took (0: not told by LAST_DIGITS)."""
    digits = 50
    while digits <= LAST_DIGITS:
        with mpmath.workdps(2 * digits + 20):
            _, value = least(forward, minima, i)
            if abs(value) > mpf(10) ** -digits:
                return (-1 if value < 0 else 1), digits
        digits *= 2
    return 0, LAST_DIGITS


def critical_point(forward: ForwardMap, start: Any) -> Any:
    """Return the solution of Φ = 1 next to `start`, at the working precision."""
    precise = PreciseMap(forward)
    return newton(lambda u: precise.phi_minus_one(u) / (-2 * precise.power_sum(u, 3)), start)


def edge(forward: ForwardMap, points: Points, i: int, side: int, digits: int = 40) -> tuple[float, float]:
    """Return an edge as a double-double.

    Args:
        forward: The law's forward map.
        points: The minima of Φ in the gaps, or (side 0) the critical points.
        i: Which of them.
        side: -1 or 1: the left or the right end of gap i; 0: the critical point itself.
        digits: Of the edge; the work is done with four times as many, since contact halves them twice.
    """
    with mpmath.workdps(4 * digits):
        if side:
            u, depth = least(forward, points, i)
            start = u + side * mpmath.sqrt(-depth / (3 * PreciseMap(forward).power_sum(u, 4)))
        else:
            start = point(forward, points, i)
        value = PreciseMap(forward).z(critical_point(forward, start))
        hi = float(value)
        return hi, float(value - mpf(hi))


def root(forward: ForwardMap, z: Any, start: complex, anchor: Any) -> Any:
    """Return u with z(u) = z, from anchor + start, at the working precision.

    Args:
        forward: The law's forward map.
        z: Where (an mpc), in the closed upper half-plane.
        start: Offset from the anchor at which Newton starts.
        anchor: A real mpf.
    """
    precise = PreciseMap(forward)
    begin = anchor + mpmath.mpc(start)
    return newton(lambda u: (precise.z(u) - z) / (-precise.phi_minus_one(u)), begin)


def sign_of_slope(forward: ForwardMap, u: float) -> int:
    """Return the sign of z'(u) = 1 - Φ(u), exactly, in rational arithmetic."""
    point = Fraction(u)
    phi = Fraction(0)
    for t, w in forward.exact_weights.items():
        phi += forward.exact_ratio * w * (Fraction(t) / (point - Fraction(t))) ** 2
    return (phi < 1) - (phi > 1)


def edges(forward: ForwardMap, found: Structure, digits: int) -> list[Any]:
    """Return all edges to the given digits.

    Args:
        forward: The law's forward map.
        found: Its structure, as decided already.
        digits: Significant digits; the work is done with 4 digits for each, since contact halves them twice.
    """
    gaps = [i for i, gap in enumerate(found.gap.tolist()) if gap]
    result = []
    with mpmath.workdps(4 * digits + 20):
        precise = PreciseMap(forward)
        for k in range(found.points.size):
            if k == 0 and forward.exact_excess == 0:
                result.append(mpf(0))
                continue
            start = point(forward, found.points, k)
            if 0 < k < found.points.size - 1:
                u, depth = least(forward, found.minima, gaps[(k - 1) // 2])
                if depth > -(mpf(10) ** -8):
                    near = mpmath.sqrt(-depth / (3 * precise.power_sum(u, 4)))
                    start = u + near if k % 2 == 0 else u - near
            result.append(precise.z(critical_point(forward, start)))
    return result


def density(forward: ForwardMap, x: float, start: complex, anchor: Fraction, digits: int) -> Any:
    """Return the density at x, strictly inside a bulk, to the given digits.

    Args:
        forward: The law's forward map.
        x: The point, exact.
        start: Offset of u from the anchor, in doubles.
        anchor: Where the offset is measured from.
        digits: Significant digits.
    """
    with mpmath.workdps(2 * digits + 40):
        u = root(forward, mpmath.mpc(x), start, number(anchor))
        return u.imag / (mpmath.pi * number(forward.exact_ratio) * abs(u) ** 2)


def outlier(forward: ForwardMap, spike: float, digits: int) -> tuple[Any, Any]:
    """Return location and squared overlap of a supercritical spike to the given digits."""
    with mpmath.workdps(2 * digits + 40):
        precise, ell = PreciseMap(forward), mpf(spike)
        location = precise.z(ell)
        return location, -ell * precise.phi_minus_one(ell) / location
