"""Enclosures that are proved: edges, thresholds, outliers, moments and Gaussian coefficients, by ball arithmetic.

Everything here is computed with python-flint's Arb: each number is a ball that holds the true value, rounded
outwards, for the inputs taken as exact rationals. Only what is made here may be called proved. The proofs:

1. *Interval structure.* Φ(u) = γ Σ w t²/(u - t)² is convex between neighbouring atoms. A point with Φ < 1 proves a
   gap. For no gap, Φ >= Φ(c) + Φ'(c)(u - c) >= Φ(c) - |Φ'(c)| width at an approximate minimiser c must exceed 1.
2. *Edges.* Beside each atom that borders a gap (and outside all) there is exactly one critical point; a sign
   change of Φ - 1 over a ball [u - r, u + r] on the right side of the minimiser proves that it is in there. With
   z' = 1 - Φ, the edge is in z(u) + z'([u - r, u + r]) [-r, r].
3. *Outliers.* z(ℓ) and ℓ z'(ℓ)/z(ℓ), with z'(ℓ) of proved sign.
4. *Densities*. z(u) = x has at most one root in C⁺; if u - (z(u) - x)/z'(U) is in the ball U around u, that root is in
   there too (the interval Newton theorem).
5. *Moments* of the law are rational in the inputs, and are computed as rationals.
6. *Gaussian coefficients* E[He_k(h) σ(h)]: Arb's rigorous integration of each analytic piece over [-L, L] plus
   the tail, bounded with |σ(x)| <= Σ c_j |x|^j read off the expression.

Where it breaks down: an exact contact of two bulks has no proof by (1), and says so; links that grow faster than
a polynomial are refused. Checked in tests/test_certify.py against closed forms and certified polynomial roots.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import mpmath
import sympy as sp

from rmtfl.errors import BadInput, ToleranceNotMet
from rmtfl.functions import sigmoid, softplus
from rmtfl.laws import precise
from rmtfl.laws.edges import structure
from rmtfl.laws.forward import ForwardMap
from rmtfl.laws.generalized import GeneralizedMarchenkoPastur

#: Digits beyond those asked for that the work is done with, before it is tried again with twice as many.
GUARD = 20

#: Attempts, each with twice the digits of the one before.
ATTEMPTS = 5


@dataclass(frozen=True)
class Enclosure:
    """A proved interval.

    Attributes:
        value: The middle, as a decimal string with the digits that are proved.
        radius: The true value is within this of `value`.
        digits: How many significant digits that is.
    """

    value: str
    radius: float
    digits: int

    @property
    def statement(self) -> str:
        """What may be said of it."""
        return f"proved to {self.digits} digits"

    def contains(self, x: Any) -> bool:
        """Tell whether x (anything that mpmath reads) is in the interval."""
        with mpmath.workdps(self.digits + 30):
            return bool(abs(mpmath.mpf(x) - mpmath.mpf(self.value)) <= self.radius)


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
    for bits in _precisions(digits):
        with _precision(bits):
            balls = _Balls(forward)
            u = _ball(Fraction(spike))
            z = balls.z(u)
            found = [_enclose(x, digits) for x in (z, -u * balls.phi_minus_one(u) / z)]
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


def hermite_coefficient(
    pieces: Sequence[sp.Expr], kinks: Sequence[sp.Expr], degree: int, digits: int = 30
) -> Enclosure:
    """Enclose E[He_degree(h) σ(h)], h standard Gaussian.

    Args:
        pieces: σ as SymPy expressions in one variable, one between each two kinks (a `Link`'s `pieces`).
        kinks: Where one piece ends and the next begins, ascending (a `Link`'s `kinks`).
        degree: Of the Hermite polynomial.
        digits: Significant digits to prove; absolute ones where the coefficient may be 0.

    Raises:
        BadInput: If σ holds a function that is not known here, or grows faster than a polynomial.
        ToleranceNotMet: If the digits are not reached.
    """
    for bits in _precisions(digits):
        with _precision(bits):
            total = _gaussian_integral(pieces, kinks, degree, bits)
            found = _enclose(total, digits, absolute=True)
        if found:
            return found
    raise ToleranceNotMet(f"the Hermite coefficient of degree {degree} could not be enclosed to {digits} digits")


def _inside(law: GeneralizedMarchenkoPastur, x: float, digits: int) -> Enclosure:
    """Enclose the density strictly inside a bulk, by the interval Newton step of proof (4)."""
    flint = _flint()
    root = law.roots([x])
    anchor = sum((Fraction(float(part[0])) for part in (root.anchor.hi, root.anchor.lo)), Fraction(0))
    for bits in _precisions(digits):
        with mpmath.workdps(int(bits / 3.32)), _precision(bits):
            balls = _Balls(law.forward)
            near = precise.root(law.forward, mpmath.mpc(x), complex(root.h[0]), precise.number(anchor))
            u = flint.acb(_from_mpf(near.real), _from_mpf(near.imag))
            r = flint.arb(0, (abs(u) * flint.arb(2) ** (-3 * bits // 4)).upper())
            box = u + flint.acb(r, r)
            step = u + (balls.z(u) - _ball(Fraction(x))) / balls.phi_minus_one(box)
            if not box.contains(step) or not step.imag > 0:
                continue
            gamma = _ball(law.forward.exact_ratio)
            size = step.real * step.real + step.imag * step.imag
            found = _enclose(step.imag / (flint.arb.pi() * gamma * size), digits)
            if found:
                return found
    raise ToleranceNotMet(f"the density at x = {x!r} could not be enclosed to {digits} digits")


# ------------------------------------------------------------------------------------------------------------ balls


def _flint() -> Any:
    try:
        import flint
    except ImportError as missing:
        raise BadInput("certificates need python-flint: install rmtfl[certify]") from missing
    return flint


@contextmanager
def _precision(bits: int) -> Iterator[None]:
    flint = _flint()
    before = flint.ctx.prec
    flint.ctx.prec = bits
    try:
        yield
    finally:
        flint.ctx.prec = before


def _precisions(digits: int) -> list[int]:
    return [int(3.33 * (digits + GUARD)) * 2**k for k in range(ATTEMPTS)]


def _ball(x: Fraction) -> Any:
    flint = _flint()
    return flint.arb(flint.fmpq(x.numerator, x.denominator))


def _from_mpf(x: Any) -> Any:
    """Return an mpf exactly."""
    sign, mantissa, exponent, _ = x._mpf_
    return _ball(Fraction(-int(mantissa) if sign else int(mantissa)) * Fraction(2) ** exponent)


def _enclose(x: Any, digits: int, *, absolute: bool = False) -> Enclosure | None:
    """Return an enclosure of the given digits from a ball, or None where the ball is too wide."""
    middle, radius = x.mid(), float(x.rad())
    size = float(abs(middle))
    scale = max(size, 1.0) if absolute else size
    if not x.is_finite() or not radius <= 0.25 * 10.0**-digits * scale:
        return None
    text = middle.str(digits + 3, radius=False)
    # What rounding the middle to that string costs is added, with room for the float.
    written = float(abs(_ball(Fraction(text)) - middle).upper())
    return Enclosure(text, (radius + written) * (1 + 1e-12), digits)


class _Balls:
    """The forward map in ball arithmetic, written over the exact γ Σ w - 1."""

    def __init__(self, forward: ForwardMap) -> None:
        gamma = forward.exact_ratio
        self.pairs = [(_ball(Fraction(t)), _ball(gamma * w)) for t, w in forward.exact_weights.items()]
        self.excess = _ball(forward.exact_excess)

    def z(self, u: Any) -> Any:
        return u * (u * sum((g / (u - t) for t, g in self.pairs), _ball(Fraction(0))) - self.excess)

    def phi_minus_one(self, u: Any) -> Any:
        total = sum((g * (2 * t - u) / (u - t) ** 2 for t, g in self.pairs), _ball(Fraction(0)))
        return self.excess + u * total

    def phi_slope(self, u: Any) -> Any:
        return -2 * sum((g * t**2 / (u - t) ** 3 for t, g in self.pairs), _ball(Fraction(0)))


def _critical(forward: ForwardMap, digits: int) -> list[tuple[Enclosure, Enclosure]]:
    found = structure(forward)
    for bits in _precisions(digits):
        result = _try_critical(forward, found, digits, bits)
        if result is not None:
            return result
    raise ToleranceNotMet(
        f"the interval structure or the edges could not be proved to {digits} digits: two bulks are in contact, "
        "or nearly so"
    )


def _try_critical(forward: ForwardMap, found: Any, digits: int, bits: int) -> list[tuple[Enclosure, Enclosure]] | None:
    """Prove structure and edges at one working precision, from mpmath's approximations."""
    flint = _flint()
    t = [Fraction(a) for a in forward.exact_weights]
    gaps = [i for i, gap in enumerate(found.gap.tolist()) if gap]
    with mpmath.workdps(int(bits / 3.32)), _precision(bits):
        balls = _Balls(forward)
        centres = {}
        for i, gap in enumerate(found.gap.tolist()):
            centres[i] = c = _from_mpf(precise.least(forward, found.minima, i)[0])
            level = balls.phi_minus_one(c)
            if not gap:
                level = level - abs(balls.phi_slope(c)) * _ball(t[i + 1] - t[i])
            if not (level < 0 if gap else level > 0) or not _ball(t[i]) < c < _ball(t[i + 1]):
                return None
        rows = []
        for k in range(found.points.size):
            # Where the critical point must lie: beyond all atoms, or between an atom and its gap's minimum.
            if k == 0:
                low, high = None, _ball(t[0])
            elif k == found.points.size - 1:
                low, high = _ball(t[-1]), None
            else:
                i = gaps[(k - 1) // 2]
                low, high = (_ball(t[i]), centres[i]) if k % 2 else (centres[i], _ball(t[i + 1]))
            if k == 0 and forward.exact_excess == 0:
                rows.append((Enclosure("0", 0.0, digits), Enclosure("0", 0.0, digits)))
                continue
            u = _from_mpf(precise.critical_point(forward, _start(forward, found, k, gaps)))
            r = abs(u) * flint.arb(10) ** (-digits - GUARD // 2)
            left, right = balls.phi_minus_one(u - r), balls.phi_minus_one(u + r)
            inside = (low is None or low < u - r) and (high is None or u + r < high)
            change = (left < 0 and right > 0) or (left > 0 and right < 0)
            ball = flint.arb(u.mid(), (r * (1 + flint.arb(2) ** -20)).upper())
            edge = balls.z(u) - balls.phi_minus_one(ball) * flint.arb(0, r.upper())
            pair = _enclose(ball, digits), _enclose(edge, digits)
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


# ------------------------------------------------------------------------------------------------------ Gaussian part


def _gaussian_integral(
    pieces: Sequence[sp.Expr], kinks: Sequence[sp.Expr], degree: int, bits: int, reach: int | None = None
) -> Any:
    """Enclose ∫ He_degree σ φ over the line; integrated as far as `reach`, bounded beyond it."""
    flint = _flint()
    if reach is None:
        # exp(-reach²/2) is below 2^-bits there, with room for the polynomial.
        reach = int((2 * 0.6932 * bits) ** 0.5) + 8
    ends = [flint.arb(-reach), *(_acb(k, flint.acb(0)).real for k in kinks), flint.arb(reach)]
    if any(not (-reach < float(e.mid()) < reach) for e in ends[1:-1]):
        raise BadInput(f"kinks: {list(kinks)} reach beyond {reach}")
    norm = 1 / (2 * flint.arb.pi()).sqrt()
    total = flint.arb(0)
    for piece, low, high in zip(pieces, ends[:-1], ends[1:], strict=True):

        def integrand(x: Any, analytic: bool, own: sp.Expr = piece) -> Any:
            return _acb(own, x, analytic) * _hermite(degree, x) * (-x * x / 2).exp()

        part = flint.acb.integral(
            integrand, flint.acb(low), flint.acb(high), rel_tol=2.0**-bits if bits < 1000 else None
        )
        total += part.real
    tail = flint.arb(0)
    polynomial = [abs(c) for c in _hermite_coefficients(degree)]
    for piece in (pieces[0], pieces[-1]):
        bound = _growth(piece)
        product = [flint.arb(0)] * (len(bound) + len(polynomial) - 1)
        for i, a in enumerate(bound):
            for j, b in enumerate(polynomial):
                product[i + j] += a * b
        for m, c in enumerate(product):
            # ∫_L^∞ x^m exp(-x²/2) dx = 2^((m-1)/2) Γ((m+1)/2, L²/2)
            half = flint.arb(m + 1) / 2
            tail += c * flint.arb(2) ** (half - 1) * (flint.arb(reach) ** 2 / 2).gamma_upper(half)
    return (total + flint.arb(0, tail.upper())) * norm


def _hermite_coefficients(degree: int) -> list[int]:
    before, now = [0], [1]
    for k in range(degree):
        shifted = [0, *now]
        before = [*before, *[0] * (len(shifted) - len(before))]
        before, now = now, [a - k * b for a, b in zip(shifted, before, strict=True)]
    return now


def _hermite(degree: int, x: Any) -> Any:
    value = x * 0
    for c in reversed(_hermite_coefficients(degree)):
        value = value * x + c
    return value


def _acb(expression: sp.Expr, x: Any, analytic: bool = False) -> Any:
    """Evaluate a SymPy expression at a complex ball; with `analytic`, not finite on a branch cut."""
    flint = _flint()
    if expression.is_Symbol:
        return x
    if expression.is_Rational:
        return flint.acb(_ball(Fraction(int(expression.p), int(expression.q))))
    if expression == sp.pi:
        return flint.acb(flint.arb.pi())
    if expression == sp.E:
        return flint.acb(1).exp()
    arguments = [_acb(a, x, analytic) for a in expression.args]
    if expression.is_Add:
        return sum(arguments[1:], arguments[0])
    if expression.is_Mul:
        value = arguments[0]
        for factor in arguments[1:]:
            value = value * factor
        return value
    if expression.is_Pow:
        exponent = expression.args[1]
        if exponent.is_Integer:
            return arguments[0] ** int(exponent)
        return (arguments[0].log(analytic=analytic) * arguments[1]).exp()
    build = _FUNCTIONS.get(expression.func)
    if build is None:
        raise BadInput(f"{expression.func.__name__} cannot be certified; accepted are {_ACCEPTED}")
    return build(arguments[0], analytic)


_FUNCTIONS: dict[Any, Callable[[Any, bool], Any]] = {
    sp.exp: lambda y, _: y.exp(),
    sp.log: lambda y, analytic: y.log(analytic=analytic),
    sp.tanh: lambda y, _: y.tanh(),
    sp.sin: lambda y, _: y.sin(),
    sp.cos: lambda y, _: y.cos(),
    sp.erf: lambda y, _: y.erf(),
    sigmoid: lambda y, _: 1 / (1 + (-y).exp()),
    softplus: lambda y, analytic: (1 + y.exp()).log(analytic=analytic),
}
_ACCEPTED = "polynomials, " + ", ".join(sorted(f.__name__ for f in _FUNCTIONS))


def _growth(expression: sp.Expr) -> list[Any]:
    """Return nonnegative c_0, c_1, ... with |expression(x)| <= Σ c_j |x|^j for all real x.

    Raises:
        BadInput: If no such bound is known.
    """
    flint = _flint()
    if expression.is_Symbol:
        return [flint.arb(0), flint.arb(1)]
    if not expression.free_symbols:
        return [abs(_acb(expression, flint.acb(0)).real)]
    if expression.is_Add:
        parts = [_growth(a) for a in expression.args]
        return [sum((p[j] for p in parts if j < len(p)), flint.arb(0)) for j in range(max(map(len, parts)))]
    if expression.is_Mul or (expression.is_Pow and expression.args[1].is_Integer and expression.args[1] > 0):
        base = expression.args if expression.is_Mul else (expression.args[0],) * int(expression.args[1])
        total = [flint.arb(1)]
        for factor in map(_growth, base):
            product = [flint.arb(0)] * (len(total) + len(factor) - 1)
            for i, a in enumerate(total):
                for j, b in enumerate(factor):
                    product[i + j] += a * b
            total = product
        return total
    if expression.func in (sp.tanh, sp.sin, sp.cos, sp.erf, sigmoid):
        return [flint.arb(1)]
    if expression.func is softplus:
        inner = _growth(expression.args[0])
        return [inner[0] + flint.arb(2).log(), *inner[1:]]
    if expression.func is sp.exp:
        (x,) = expression.free_symbols
        argument = expression.args[0]
        if argument.is_polynomial(x) and sp.degree(argument, x) == 2 and sp.LC(argument, x) < 0:
            top = argument.subs(x, sp.solve(sp.diff(argument, x), x)[0])
            return [_acb(sp.exp(top), flint.acb(0)).real]
    raise BadInput(f"no polynomial bound is known for {expression}: it cannot be certified")
