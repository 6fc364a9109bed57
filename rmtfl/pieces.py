"""Kinked expressions resolved into smooth pieces between their kinks, which are found exactly.

relu, abs, sign, heaviside, Min and Max are told from everything else; the real zeros of their arguments are the kinks.
Zeros are those of polynomials in x and in one invertible function of a polynomial (``abs(tanh(x) - 1/2)``); an argument
such as ``sin(x)`` has none that could be listed, and is refused by name.
"""

from __future__ import annotations

from collections.abc import Callable

import sympy as sp

from rmtfl.errors import BadInput
from rmtfl.functions import sigmoid, softplus

X = sp.Symbol("x", real=True)

# A piecewise function: (start, expression) from left to right; the first start is -oo.
Pieces = list[tuple[sp.Expr, sp.Expr]]


def resolve(expression: sp.Expr, text: str) -> Pieces:
    """Resolve every kinked function of an expression into smooth pieces."""
    if not expression.has(sp.Abs, sp.sign, sp.Heaviside, sp.Max, sp.Min):
        return [(-sp.oo, expression)]
    arguments = [resolve(argument, text) for argument in expression.args]
    result: Pieces = []
    for start, end, values in _refine(arguments):
        if isinstance(expression, sp.Abs | sp.sign | sp.Heaviside):
            cut, choose = [values[0]], _sign_choice(expression)
        elif isinstance(expression, sp.Max | sp.Min):
            cut = [a - b for i, a in enumerate(values) for b in values[i + 1 :]]
            choose = _extreme_choice(expression)
        else:
            result.append((start, expression.func(*values)))
            continue
        zeros = sorted({zero for c in cut for zero in _zeros(c, text) if start < zero < end}, key=_as_float)
        for left, right in zip([start, *zeros], [*zeros, end], strict=True):
            result.append((left, choose(values, _inside(left, right))))
    return merge(result)


def _sign_choice(expression: sp.Expr) -> Callable[[list[sp.Expr], sp.Expr], sp.Expr]:
    def choose(values: list[sp.Expr], point: sp.Expr) -> sp.Expr:
        positive = _value(values[0], point) > 0
        if isinstance(expression, sp.Abs):
            return values[0] if positive else -values[0]
        if isinstance(expression, sp.sign):
            return sp.Integer(1 if positive else -1)
        return sp.Integer(1 if positive else 0)

    return choose


def _extreme_choice(expression: sp.Expr) -> Callable[[list[sp.Expr], sp.Expr], sp.Expr]:
    pick = max if isinstance(expression, sp.Max) else min

    def choose(values: list[sp.Expr], point: sp.Expr) -> sp.Expr:
        return pick(values, key=lambda value: _value(value, point))

    return choose


def _refine(functions: list[Pieces]) -> list[tuple[sp.Expr, sp.Expr, list[sp.Expr]]]:
    """The common refinement of piecewise functions: (start, end, one value for each function)."""
    starts = sorted({start for pieces in functions for start, _ in pieces}, key=_as_float)
    rows = []
    for start, end in zip(starts, [*starts[1:], sp.oo], strict=True):
        values = [[value for begin, value in pieces if begin <= start][-1] for pieces in functions]
        rows.append((start, end, values))
    return rows


def merge(pieces: Pieces) -> Pieces:
    """Neighbouring pieces of equal expressions as one."""
    merged = pieces[:1]
    for start, expression in pieces[1:]:
        if sp.expand(expression - merged[-1][1]) != 0:
            merged.append((start, expression))
    return merged


_INVERSES: dict[type, Callable[[sp.Expr], sp.Expr]] = {
    sp.exp: sp.log,
    sp.tanh: sp.atanh,
    sp.sinh: sp.asinh,
    sp.asinh: sp.sinh,
    sp.atan: sp.tan,
    sp.erf: sp.erfinv,
    sigmoid: lambda y: sp.log(y / (1 - y)),
    softplus: lambda y: sp.log(sp.exp(y) - 1),
}
_RANGES: dict[type, tuple[sp.Expr, sp.Expr]] = {
    sp.exp: (sp.Integer(0), sp.oo),
    sp.tanh: (sp.Integer(-1), sp.Integer(1)),
    sp.atan: (-sp.pi / 2, sp.pi / 2),
    sp.erf: (sp.Integer(-1), sp.Integer(1)),
    sigmoid: (sp.Integer(0), sp.Integer(1)),
    softplus: (sp.Integer(0), sp.oo),
}


def _zeros(expression: sp.Expr, text: str) -> list[sp.Expr]:
    """The real zeros of a smooth expression, exact; refuses what it cannot list."""
    if not expression.has(X):
        return []
    try:
        polynomial = sp.Poly(sp.together(expression).as_numer_denom()[0])
    except sp.PolynomialError:
        polynomial = None
    generators = polynomial.gens if polynomial is not None else ()
    generators = tuple(g for g in generators if g.has(X))
    if polynomial is None or len(generators) != 1:
        raise BadInput(f"the kinks where {expression} = 0 in {text!r} cannot be located; use a polynomial argument")
    (generator,) = generators
    roots = _real_roots(sp.Poly(polynomial.as_expr(), generator))
    if generator == X:
        return roots
    inverse = _INVERSES.get(type(generator))
    if inverse is None:
        raise BadInput(f"the kinks where {expression} = 0 in {text!r} cannot be located; use a polynomial argument")
    low, high = _RANGES.get(type(generator), (-sp.oo, sp.oo))
    inside = [root for root in roots if low < root < high]
    return [zero for root in inside for zero in _zeros(generator.args[0] - inverse(root), text)]


def _real_roots(polynomial: sp.Poly) -> list[sp.Expr]:
    if polynomial.degree() == 1:
        slope, intercept = polynomial.all_coeffs()
        return [-intercept / slope]
    if all(c.is_Rational for c in polynomial.all_coeffs()):
        return list(dict.fromkeys(sp.real_roots(polynomial)))
    roots = sp.roots(polynomial, multiple=True)
    return [root for root in dict.fromkeys(roots) if root.is_real]


def _as_float(number: sp.Expr) -> float:
    return float(number)


def _inside(left: sp.Expr, right: sp.Expr) -> sp.Expr:
    """A point strictly between two exact bounds, either of which may be infinite."""
    if left == -sp.oo:
        return sp.Integer(0) if right == sp.oo else sp.floor(right) - 1
    return sp.floor(left) + 2 if right == sp.oo else (left + right) / 2


def _value(expression: sp.Expr, point: sp.Expr) -> float:
    return float(expression.subs(X, point).evalf(30))


def refuse_poles(piece: sp.Expr, text: str) -> None:
    """Refuse poles that can be read off the expression, before any quadrature meets them."""
    for power in piece.atoms(sp.Pow):
        if power.exp.is_number and power.exp.is_negative and power.base.has(X):
            try:
                zeros = _zeros(power.base, text)
            except BadInput:
                continue  # left to the moment check, which integrates across it
            if zeros:
                raise BadInput(
                    f"{text!r} has a pole at x = {zeros[0]}: a link must have a finite Gaussian second moment"
                )
