"""The algebraic equation of an atomic population's law, and the discriminant that holds its edges.

Clearing denominators in z = -1/m + γ Σ w t/(1 + t m) gives

    P(m, z) = (1 + z m) Π (1 + t m) - γ m Σ w t Π' (1 + t m) = 0,

Π' without the own factor: of degree K + 1 in m for K positive atoms. Its discriminant in m vanishes where two roots
meet, so every edge is among the discriminant's real roots (which also hold points that are no edges). Exact for
rational or symbolic inputs; the discriminant is practical for up to about five atoms. Checked in
tests/laws/test_symbolic.py against the numeric edges.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import sympy as sp

M, Z = sp.symbols("m z")


def _exact(x: Any) -> sp.Expr:
    if isinstance(x, sp.Expr):
        return x
    exact = Fraction(x)
    return sp.Rational(exact.numerator, exact.denominator)


def equation(ratio: Any, atoms: Sequence[Any], weights: Sequence[Any]) -> sp.Poly:
    """Return P(m, z), as a polynomial in m and z.

    Args:
        ratio: γ = p/n: a float (its exact value is taken), a rational or a symbol.
        atoms: Population eigenvalues, likewise; positive and distinct.
        weights: Their masses.
    """
    gamma = _exact(ratio)
    pairs = [(_exact(t), _exact(w)) for t, w in zip(atoms, weights, strict=True)]
    factors = [1 + t * M for t, _ in pairs]
    rest = [sp.prod(factors[:i] + factors[i + 1 :]) for i in range(len(factors))]
    total = (1 + Z * M) * sp.prod(factors)
    total -= gamma * M * sum(w * t * other for (t, w), other in zip(pairs, rest, strict=True))
    return sp.Poly(sp.expand(total), M, Z)


def discriminant(ratio: Any, atoms: Sequence[Any], weights: Sequence[Any]) -> sp.Poly:
    """Return the discriminant of P(·, z), a polynomial in z; see `equation` for the arguments."""
    poly = equation(ratio, atoms, weights)
    return sp.Poly(sp.discriminant(poly.as_expr(), M), Z)


def edge_candidates(ratio: Any, atoms: Sequence[Any], weights: Sequence[Any], digits: int = 30) -> tuple[sp.Float, ...]:
    """Return the discriminant's real roots to the given digits, ascending: every edge is one of them."""
    poly = sp.Poly(discriminant(ratio, atoms, weights).as_expr(), Z, domain="QQ")
    square_free = sp.Poly(sp.prod(factor for factor, _ in poly.factor_list()[1]), Z, domain="QQ")
    return tuple(root.evalf(digits) for root in square_free.real_roots())
