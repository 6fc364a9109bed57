"""Gaussian expectations of polynomials and of kinked functions, term by term (theory/gaussian-calculus.md).

Every function returns the expression it derives. `h` is the standard Gaussian variable throughout.
"""

from __future__ import annotations

from collections.abc import Sequence

import sympy as sp

h = sp.Symbol("h", real=True)


def density(x: sp.Expr) -> sp.Expr:
    """The density of N(0, 1)."""
    return sp.exp(-(x**2) / 2) / sp.sqrt(2 * sp.pi)


def cumulative(x: sp.Expr) -> sp.Expr:
    """Its distribution function Φ."""
    return (1 + sp.erf(x / sp.sqrt(2))) / 2


def moment(power: int) -> sp.Integer:
    """E h^power."""
    return sp.Integer(0) if power % 2 else sp.factorial2(power - 1)


def expect(polynomial: sp.Expr, *variables: sp.Symbol) -> sp.Expr:
    """The mean of a polynomial over independent N(0, 1) variables; other symbols are constants."""
    terms = sp.Poly(sp.expand(polynomial), *variables).terms()
    return sp.expand(sum(c * sp.prod([moment(power) for power in powers]) for powers, c in terms))


def hermite(order: int) -> sp.Expr:
    """He_k from Rodrigues' formula, (−1)^k φ^(k)/φ: what k integrations by parts leave beside the function."""
    return sp.expand(sp.simplify((-1) ** order * sp.diff(density(h), h, order) / density(h)))


def by_parts(polynomial: sp.Expr, times: int = 1) -> sp.Expr:
    """D p = h p − p', the adjoint of d/dh under N(0, 1), applied several times."""
    for _ in range(times):
        polynomial = sp.expand(h * polynomial - sp.diff(polynomial, h))
    return polynomial


# A piecewise polynomial: pieces from left to right, one more than the ascending kinks between them.


def partial_mean(polynomial: sp.Expr, left: sp.Expr, right: sp.Expr) -> sp.Expr:
    """E[p(h); left < h < right]: h^n = D h^(n−1) + (n − 1) h^(n−2), and the integral of φ D q is −[φ q]."""
    total, rest = sp.Integer(0), sp.Poly(polynomial, h)
    while rest.degree() > 0:
        lowered = rest.LC() * h ** (rest.degree() - 1)
        for end, sign in ((left, 1), (right, -1)):
            if end.is_finite:
                total += sign * (lowered * density(h)).subs(h, end)
        rest = sp.Poly(rest.as_expr() - by_parts(lowered), h)
    return total + rest.as_expr() * (cumulative(right) - cumulative(left))


def piecewise_mean(pieces: Sequence[sp.Expr], kinks: Sequence[sp.Expr]) -> sp.Expr:
    """E f(h) for a piecewise polynomial f, cut at its kinks."""
    ends = [-sp.oo, *kinks, sp.oo]
    return sum(partial_mean(*part) for part in zip(pieces, ends[:-1], ends[1:], strict=True))


def distributional_mean(pieces: Sequence[sp.Expr], kinks: Sequence[sp.Expr], weight: sp.Expr) -> sp.Expr:
    """E[f' p] with f' a distribution: the derivatives of the pieces, and at every kink the jump times the density."""
    smooth = piecewise_mean([sp.diff(piece, h) * weight for piece in pieces], kinks)
    jumps = [
        ((right - left) * weight * density(h)).subs(h, kink)
        for left, right, kink in zip(pieces[:-1], pieces[1:], kinks, strict=True)
    ]
    return smooth + sum(jumps)


def pair_mean(first: sp.Expr, second: sp.Expr, correlation: sp.Expr) -> sp.Expr:
    """E f(u) g(v) for polynomials f, g of h and standard Gaussians of the given correlation, from independent ones."""
    u, w = sp.symbols("u w", real=True)
    v = correlation * u + sp.Symbol("spread") * w
    mean = expect(first.subs(h, u) * second.subs(h, v), u, w)
    return sp.expand(sp.expand(mean).subs(sp.Symbol("spread"), sp.sqrt(1 - correlation**2)))


def mehler(first: sp.Expr, second: sp.Expr, correlation: sp.Expr, order: int) -> sp.Expr:
    """The same from Mehler's formula: Σ_{k ≤ order} corr^k E[He_k f] E[He_k g] / k!."""
    return sp.expand(
        sum(
            correlation**k * expect(hermite(k) * first, h) * expect(hermite(k) * second, h) / sp.factorial(k)
            for k in range(order + 1)
        )
    )


def smoothed_hinge() -> tuple[sp.Expr, sp.Expr]:
    """E (m + τξ − k)₊ and its slope in m, as expressions in the symbols m, k and τ > 0, ξ ~ N(0, 1)."""
    m, k, tau = *sp.symbols("m k", real=True), sp.Symbol("tau", positive=True)
    value = partial_mean(m + tau * h - k, (k - m) / tau, sp.oo)
    return value, sp.diff(value, m)


def crossing_antiderivative() -> tuple[sp.Expr, sp.Expr]:
    """The primitive in h behind the second integral of a piecewise-linear link, and what it must differentiate to.

    With m − k = κ h + B, t = (m − k)/τ, r² = κ² + τ² the primitive of φ(h) [κ h Φ(t) + τ φ(t)] is
    −κ φ(h) Φ(t) + r φ(B/r) Φ((τ² h + κ (m − k))/(τ r)).
    """
    kappa, B, tau = sp.Symbol("kappa", real=True), sp.Symbol("B", real=True), sp.Symbol("tau", positive=True)
    ahead, r = kappa * h + B, sp.sqrt(kappa**2 + tau**2)
    primitive = -kappa * density(h) * cumulative(ahead / tau)
    primitive += r * density(B / r) * cumulative((tau**2 * h + kappa * ahead) / (tau * r))
    integrand = density(h) * (kappa * h * cumulative(ahead / tau) + tau * density(ahead / tau))
    return primitive, integrand


def trapezoid_error(step: sp.Expr, terms: int = 3) -> sp.Expr:
    """step · Σ_j φ(j step) − 1 by Poisson summation: twice the sum of the density's Fourier transform at 2π m/step."""
    k = sp.Symbol("k", real=True)
    transform = sp.simplify(sp.integrate(density(h) * sp.exp(-sp.I * k * h), (h, -sp.oo, sp.oo)))
    return 2 * sum(transform.subs(k, 2 * sp.pi * m / step) for m in range(1, terms + 1))
