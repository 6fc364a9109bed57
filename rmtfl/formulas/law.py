"""The law of an atomic population in symbols: its algebraic equation, and its edges as algebraic numbers.

The equation and its discriminant are those of `rmtfl.laws.symbolic`. An edge is z(u) at a real zero u of odd
multiplicity of z'(u) = 1 - γ Σ w t²/(u - t)² (theory/generalized-marchenko-pastur.md): such a zero is isolated exactly,
and z(u) is one of the discriminant's roots.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import sympy as sp

from rmtfl.errors import ToleranceNotMet
from rmtfl.formulas.formula import Formula, Quantity
from rmtfl.laws import symbolic

MAX_ATOMS = 5  # the discriminant of six takes minutes
DIGITS = 50  # to which a critical value and a root are matched
MATCHED = sp.Rational(1, 10**30)  # closer than this, relative, they are the same, if no other root is within a thousand

gamma, m, z = sp.Symbol("gamma", positive=True), symbolic.M, symbolic.Z
SYMBOLS = (
    (gamma, "p/n"),
    (m, "the Stieltjes transform of the companion law (of X^T Sigma X/n)"),
    (z, "its argument"),
)


def equation(ratio: sp.Expr | None, atoms: Sequence[sp.Rational], weights: Sequence[sp.Rational]) -> Formula:
    """P(m, z) = 0, and the discriminant of P in m, up to a constant factor.

    Args:
        ratio: γ, or None to keep it a symbol.
        atoms: population eigenvalues, positive and distinct.
        weights: their masses.
    """
    ratio = gamma if ratio is None else ratio
    P = symbolic.equation(ratio, atoms, weights).as_expr()
    discriminant = sp.factor_list(symbolic.discriminant(ratio, atoms, weights).as_expr(), z)[1]
    product = sp.Mul(*(factor**power for factor, power in discriminant))
    return Formula(
        "generalized-marchenko-pastur.equation",
        (
            Quantity(sp.Symbol("P"), sp.collect(P, m), "P = 0 holds for m at every z"),
            Quantity(sp.Symbol("D"), product, "where it is 0 two roots meet: every edge is among its real roots"),
        ),
        SYMBOLS,
        ("The density at x is Im m(x + i0)/(pi gamma), of the root m in the upper half plane.",),
    )


def edges(ratio: sp.Rational, atoms: Sequence[sp.Rational], weights: Sequence[sp.Rational]) -> Formula:
    """Every support edge as a root of an irreducible polynomial, in radicals up to degree two.

    Raises:
        ToleranceNotMet: if a critical value cannot be told apart from two roots of the discriminant.
    """
    values = _critical_values(ratio, atoms, weights)
    roots = _discriminant_roots(ratio, atoms, weights)
    quantities, polynomials = [], []
    for position, value in enumerate(values, start=1):
        root, polynomial = _match(value, roots)
        index = [other for other, of in roots if of == polynomial].index(root)
        exact = root if polynomial.degree() <= 2 else sp.CRootOf(polynomial.as_expr(), index)
        quantities.append(Quantity(sp.Symbol(f"edge_{position}"), exact, f"about {value.n(15)}"))
        if polynomial not in polynomials:
            polynomials.append(polynomial)
    minimal = [
        Quantity(sp.Symbol(f"M_{position}"), polynomial.as_expr(), "a minimal polynomial of edges")
        for position, polynomial in enumerate(polynomials, start=1)
    ]
    return Formula(
        "generalized-marchenko-pastur.edges",
        (*quantities, *minimal),
        SYMBOLS,
        ("Bulks lie between edges 1 and 2, 3 and 4, and so on; two bulks in contact count as one.",),
    )


def _critical_values(
    ratio: sp.Rational, atoms: Sequence[sp.Rational], weights: Sequence[sp.Rational]
) -> list[sp.Float]:
    """z(u) at the real zeros u of odd multiplicity of z', ascending."""
    u = sp.Symbol("u")
    factors = [(u - t) ** 2 for t in atoms]
    total = sp.prod(factors)
    for i, (t, w) in enumerate(zip(atoms, weights, strict=True)):
        total -= ratio * w * t**2 * sp.prod(factors[:i] + factors[i + 1 :])
    points = [root for root, times in groupby(sp.Poly(sp.expand(total), u).real_roots()) if len(list(times)) % 2]
    values = []
    for point in points:
        at = point.evalf(DIGITS)
        values.append(at + ratio * sum(w * t * at / (at - t) for t, w in zip(atoms, weights, strict=True)))
    return sorted(values)


def _discriminant_roots(
    ratio: sp.Rational, atoms: Sequence[sp.Rational], weights: Sequence[sp.Rational]
) -> list[tuple[sp.Expr, sp.Poly]]:
    """Real roots, each with its irreducible polynomial."""
    discriminant = symbolic.discriminant(ratio, atoms, weights).as_expr()
    factors = sp.Poly(discriminant, z, domain="QQ").factor_list()[1]
    return [(root, factor.primitive()[1]) for factor, _ in factors for root in factor.real_roots()]


def _match(value: sp.Float, roots: Sequence[tuple[sp.Expr, sp.Poly]]) -> tuple[sp.Expr, sp.Poly]:
    ranked = sorted(((abs(root.evalf(DIGITS) - value), number) for number, (root, _) in enumerate(roots)))
    limit = MATCHED * max(1, abs(value))
    if not ranked or ranked[0][0] > limit or (len(ranked) > 1 and ranked[1][0] < 1000 * limit):
        raise ToleranceNotMet(f"the edge near {value.n(15)} is not one root of the discriminant to {DIGITS} digits")
    return roots[ranked[0][1]]
