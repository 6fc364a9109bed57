"""Any number of gradient steps on independent batches: the formulas of theory/many-steps.md, derived."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

import sympy as sp

from theory.gaussian_calculus import expect, h

m, r, S = sp.symbols("m r S", real=True)
tau, phi = sp.symbols("tau phi", positive=True)


def centred_slope(activation: sp.Expr) -> sp.Expr:
    """σ'(m + √τ h) less its mean over h ~ N(0, 1): what a step adds to a neuron besides its mean row."""
    slope = sp.diff(activation, h).subs(h, m + sp.sqrt(tau) * h)
    return sp.expand(slope - expect(slope, h))


def variance_after(activation: sp.Expr) -> sp.Expr:
    """‖w' + S (1/n) Σ_k r_k g_k x_k‖² as n, d → ∞, given ‖w'‖² = τ; g_k is the centred slope of sample k.

    Every sample has the same m and r here: samples are independent, so that means over them go factor by factor.
    """
    g = centred_slope(activation)
    other = sp.Symbol("h_l", real=True)
    t, d = sp.Symbol("t", real=True), sp.Symbol("d", positive=True)
    cross = 2 * S * r * expect(g * sp.sqrt(tau) * h, h)
    same = phi * r**2 * expect(g**2, h)  # ‖x_k‖²/n → φ, n terms over n²
    inner = h * other + sp.sqrt(d) * t  # along w', and across: x_k and x_l share √d t there
    pairs = r**2 * expect(g * g.subs(h, other) * inner, h, other, t)
    return sp.expand(tau + cross + S**2 * (same + pairs))


def variance_formula(activation: sp.Expr) -> sp.Expr:
    """The statement: τ (1 + S r E σ'')² + S² φ r² Var σ', of m + √τ h."""
    curvature = expect(sp.diff(activation, h, 2).subs(h, m + sp.sqrt(tau) * h), h)
    return sp.expand(tau * (1 + S * r * curvature) ** 2 + S**2 * phi * r**2 * expect(centred_slope(activation) ** 2, h))


def costs(alpha: Sequence[Fraction], powers: int) -> list[Fraction]:
    """The least c_p such that the coefficient of a^p in the mean rows is of order N^(-c_p), p = 1 … powers.

    Step by step: the slope of a neuron is a power series in its preactivation, which is the rows' own series in a, so
    that the costs of products add and the cheapest product wins; a step of cost 1/2 − α_t multiplies it by a.
    """
    unreachable = Fraction(10**9)
    row: dict[int, Fraction] = {}
    for exponent in alpha:
        slope, product = {0: Fraction(0)}, {0: Fraction(0)}
        for _ in range(powers):  # one more factor of the preactivation
            product = _cheapest((p + q, c + e) for p, c in product.items() for q, e in row.items() if p + q < powers)
            slope = _cheapest([*slope.items(), *product.items()])
        step = Fraction(1, 2) - exponent
        row = _cheapest([*row.items(), *((p + 1, c + step) for p, c in slope.items())])
    return [row.get(p, unreachable) for p in range(1, powers + 1)]


def _cheapest(terms: Iterable[tuple[int, Fraction]]) -> dict[int, Fraction]:
    found: dict[int, Fraction] = {}
    for power, cost in terms:
        found[power] = min(cost, found.get(power, cost))
    return found
