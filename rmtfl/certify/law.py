"""Enclosures of a generalized Marchenko-Pastur law: edges, thresholds, outliers, densities and moments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import mpmath

from rmtfl.certify.balls import GUARD, Enclosure, enclose, exactly, from_mpf, library, precision, precisions
from rmtfl.errors import BadInput, ToleranceNotMet
from rmtfl.laws import precise
from rmtfl.laws.edges import structure
from rmtfl.laws.forward import ForwardMap
from rmtfl.laws.generalized import GeneralizedMarchenkoPastur


@dataclass(frozen=True)
class CertifiedOutlier:
    """A spike's fate, proved: location and squared overlap, or None for both where it is subcritical."""

    spike: float
    location: Enclosure | None
    overlap: Enclosure | None

    @property
    def statement(self) -> str:
        """What may be said of it."""
        return self.location.statement if self.location else "proved to have no outlier"


def edges(ratio: float, atoms: Sequence[float], weights: Sequence[float], digits: int = 30) -> tuple[Enclosure, ...]:
    """Prove the interval structure of a generalized Marchenko-Pastur law and enclose its edges.

    Args:
        ratio: γ = p/n, the double's exact value.
        atoms: Population eigenvalues.
        weights: Their masses, never renormalised.
        digits: Significant digits to prove.

    Returns:
        All edges, ascending.

    Raises:
        BadInput: If the population is not one.
        ToleranceNotMet: If the structure cannot be proved (contact of two bulks) or the digits not reached.
    """
    return tuple(edge for _, edge in _critical(ForwardMap(ratio, atoms, weights), digits))


def thresholds(
    ratio: float, atoms: Sequence[float], weights: Sequence[float], digits: int = 30
) -> tuple[Enclosure, ...]:
    """Enclose the points where Φ = 1: a population spike is supercritical right of the last, left of the first, and
    between the 2nd and 3rd, the 4th and 5th, ...

    Args and errors as for `edges`.
    """
    return tuple(point for point, _ in _critical(ForwardMap(ratio, atoms, weights), digits))


def outlier(
    ratio: float, atoms: Sequence[float], weights: Sequence[float], spike: float, digits: int = 30
) -> CertifiedOutlier:
    """Prove whether a spike is supercritical, and enclose its outlier and squared overlap.

    Args:
        ratio: γ = p/n.
        atoms: Population eigenvalues.
        weights: Their masses.
        spike: A positive population eigenvalue.
        digits: Significant digits to prove.

    Raises:
        BadInput: If the population is not one, or the spike is not positive.
        ToleranceNotMet: If the digits are not reached.
    """
    forward = ForwardMap(ratio, atoms, weights)
    if not spike > 0:
        raise BadInput(f"spike = {spike!r}: a positive population eigenvalue is needed")
    if spike in forward.exact_weights or precise.sign_of_slope(forward, spike) <= 0:
        return CertifiedOutlier(spike, None, None)
    for bits in precisions(digits):
        with precision(bits):
            balls = _Balls(forward)
            u = exactly(Fraction(spike))
            z = balls.z(u)
            found = [enclose(x, digits) for x in (z, -u * balls.phi_minus_one(u) / z)]
        if all(found):
            return CertifiedOutlier(spike, found[0], found[1])
    raise ToleranceNotMet(f"the outlier of spike {spike!r} could not be enclosed to {digits} digits")


def density(
    ratio: float, atoms: Sequence[float], weights: Sequence[float], x: Sequence[float], digits: int = 30
) -> tuple[Enclosure, ...]:
    """Enclose the density of the continuous part at the points x, exact doubles; exactly 0 where x is proved outside.

    Args and errors as for `edges`.
    """
    law = GeneralizedMarchenkoPastur(ratio, atoms, weights)
    edges = [(Fraction(edge.value), Fraction(edge.radius)) for _, edge in _critical(law.forward, digits)]
    found = []
    for point in x:
        place = Fraction(float(point))
        if any(abs(place - edge) <= radius for edge, radius in edges):
            raise ToleranceNotMet(f"x = {point!r} could not be told from an edge at {digits} digits")
        outside = sum(edge < place for edge, _ in edges) % 2 == 0
        found.append(Enclosure("0", 0.0, digits) if outside else _inside(law, float(point), digits))
    return tuple(found)


def moments(ratio: float, atoms: Sequence[float], weights: Sequence[float], count: int) -> tuple[Fraction, ...]:
    """Return the law's moments of order 1, ..., count exactly, from the companion law's free cumulants γ Σ w t^k."""
    forward = ForwardMap(ratio, atoms, weights)
    gamma, pairs = forward.exact_ratio, [(Fraction(t), w) for t, w in forward.exact_weights.items()]
    cumulants = [gamma * sum((w * t**k for t, w in pairs), Fraction(0)) for k in range(1, count + 1)]
    series = [Fraction(1)] + [Fraction(0)] * count
    for order in range(1, count + 1):
        power = [Fraction(1)] + [Fraction(0)] * count
        total = Fraction(0)
        for k in range(1, order + 1):
            power = [sum((power[i] * series[j - i] for i in range(j + 1)), Fraction(0)) for j in range(count + 1)]
            total += cumulants[k - 1] * power[order - k]
        series[order] = total
    return tuple(m / gamma for m in series[1:])


def _inside(law: GeneralizedMarchenkoPastur, x: float, digits: int) -> Enclosure:
    """Enclose the density strictly inside a bulk, by the interval Newton step of proof (4)."""
    flint = library()
    root = law.roots([x])
    anchor = sum((Fraction(float(part[0])) for part in (root.anchor.hi, root.anchor.lo)), Fraction(0))
    for bits in precisions(digits):
        with mpmath.workdps(int(bits / 3.32)), precision(bits):
            balls = _Balls(law.forward)
            near = precise.root(law.forward, mpmath.mpc(x), complex(root.h[0]), precise.number(anchor))
            u = flint.acb(from_mpf(near.real), from_mpf(near.imag))
            r = flint.arb(0, (abs(u) * flint.arb(2) ** (-3 * bits // 4)).upper())
            box = u + flint.acb(r, r)
            step = u + (balls.z(u) - exactly(Fraction(x))) / balls.phi_minus_one(box)
            if not box.contains(step) or not step.imag > 0:
                continue
            gamma = exactly(law.forward.exact_ratio)
            size = step.real * step.real + step.imag * step.imag
            found = enclose(step.imag / (flint.arb.pi() * gamma * size), digits)
            if found:
                return found
    raise ToleranceNotMet(f"the density at x = {x!r} could not be enclosed to {digits} digits")


class _Balls:
    """The forward map in ball arithmetic, written over the exact γ Σ w - 1."""

    def __init__(self, forward: ForwardMap) -> None:
        gamma = forward.exact_ratio
        self.pairs = [(exactly(Fraction(t)), exactly(gamma * w)) for t, w in forward.exact_weights.items()]
        self.excess = exactly(forward.exact_excess)

    def z(self, u: Any) -> Any:
        return u * (u * sum((g / (u - t) for t, g in self.pairs), exactly(Fraction(0))) - self.excess)

    def phi_minus_one(self, u: Any) -> Any:
        total = sum((g * (2 * t - u) / (u - t) ** 2 for t, g in self.pairs), exactly(Fraction(0)))
        return self.excess + u * total

    def phi_slope(self, u: Any) -> Any:
        return -2 * sum((g * t**2 / (u - t) ** 3 for t, g in self.pairs), exactly(Fraction(0)))


def _critical(forward: ForwardMap, digits: int) -> list[tuple[Enclosure, Enclosure]]:
    found = structure(forward)
    for bits in precisions(digits):
        result = _try_critical(forward, found, digits, bits)
        if result is not None:
            return result
    raise ToleranceNotMet(
        f"the interval structure or the edges could not be proved to {digits} digits: two bulks are in contact, "
        "or nearly so"
    )


def _try_critical(forward: ForwardMap, found: Any, digits: int, bits: int) -> list[tuple[Enclosure, Enclosure]] | None:
    """Prove structure and edges at one working precision, from mpmath's approximations."""
    flint = library()
    t = [Fraction(a) for a in forward.exact_weights]
    gaps = [i for i, gap in enumerate(found.gap.tolist()) if gap]
    with mpmath.workdps(int(bits / 3.32)), precision(bits):
        balls = _Balls(forward)
        centres = {}
        for i, gap in enumerate(found.gap.tolist()):
            centres[i] = c = from_mpf(precise.least(forward, found.minima, i)[0])
            level = balls.phi_minus_one(c)
            if not gap:
                level = level - abs(balls.phi_slope(c)) * exactly(t[i + 1] - t[i])
            if not (level < 0 if gap else level > 0) or not exactly(t[i]) < c < exactly(t[i + 1]):
                return None
        rows = []
        for k in range(found.points.size):
            # Where the critical point must lie: beyond all atoms, or between an atom and its gap's minimum.
            if k == 0:
                low, high = None, exactly(t[0])
            elif k == found.points.size - 1:
                low, high = exactly(t[-1]), None
            else:
                i = gaps[(k - 1) // 2]
                low, high = (exactly(t[i]), centres[i]) if k % 2 else (centres[i], exactly(t[i + 1]))
            if k == 0 and forward.exact_excess == 0:
                rows.append((Enclosure("0", 0.0, digits), Enclosure("0", 0.0, digits)))
                continue
            u = from_mpf(precise.critical_point(forward, _start(forward, found, k, gaps)))
            r = abs(u) * flint.arb(10) ** (-digits - GUARD // 2)
            left, right = balls.phi_minus_one(u - r), balls.phi_minus_one(u + r)
            inside = (low is None or low < u - r) and (high is None or u + r < high)
            change = (left < 0 and right > 0) or (left > 0 and right < 0)
            ball = flint.arb(u.mid(), (r * (1 + flint.arb(2) ** -20)).upper())
            edge = balls.z(u) - balls.phi_minus_one(ball) * flint.arb(0, r.upper())
            pair = enclose(ball, digits), enclose(edge, digits)
            if not inside or not change or pair[0] is None or pair[1] is None:
                return None
            rows.append((pair[0], pair[1]))
    return rows


def _start(forward: ForwardMap, found: Any, k: int, gaps: list[int]) -> Any:
    """Return an approximation of critical point k, from the gap's minimum where there is one."""
    if k in (0, found.points.size - 1):
        return precise.point(forward, found.points, k)
    u, depth = precise.least(forward, found.minima, gaps[(k - 1) // 2])
    near = mpmath.sqrt(-depth / (3 * precise.PreciseMap(forward).power_sum(u, 4)))
    own = precise.point(forward, found.points, k)
    # Doubles place the point well unless the gap is narrow, where the minimum's expansion does.
    return u + (near if k % 2 == 0 else -near) if depth > -(mpmath.mpf(10) ** -8) else own
