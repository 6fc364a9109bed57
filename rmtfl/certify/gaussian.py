"""Enclosures of Gaussian coefficients of links, by rigorous integration of each analytic piece."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import sympy as sp

from rmtfl.certify.balls import Enclosure, enclose, exactly, library, precision, precisions
from rmtfl.errors import BadInput, ToleranceNotMet
from rmtfl.functions import sigmoid, softplus


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
    for bits in precisions(digits):
        with precision(bits):
            total = _gaussian_integral(pieces, kinks, degree, bits)
            found = enclose(total, digits, absolute=True)
        if found:
            return found
    raise ToleranceNotMet(f"the Hermite coefficient of degree {degree} could not be enclosed to {digits} digits")


def _gaussian_integral(
    pieces: Sequence[sp.Expr], kinks: Sequence[sp.Expr], degree: int, bits: int, reach: int | None = None
) -> Any:
    """Enclose ∫ He_degree σ φ over the line; integrated as far as `reach`, bounded beyond it."""
    flint = library()
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
    flint = library()
    if expression.is_Symbol:
        return x
    if expression.is_Rational:
        return flint.acb(exactly(Fraction(int(expression.p), int(expression.q))))
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
    flint = library()
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
