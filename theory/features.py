"""Symbolic checks of theory/features.md: the limit's outlier, and the Hermite coefficients of a widened Gaussian."""

import sympy as sp

b, theta, psi, gamma = sp.symbols("b theta psi gamma", positive=True)
u, eps = sp.symbols("u epsilon", real=True)


def population_spike():
    """λ₁ of arXiv 2402.10127, Theorem 6."""
    return b**2 * (1 + theta**2) * (psi + theta**2) / theta**2 + 1 - b**2


def outlier_residual():
    """What the equations of the bulk leave at x = γ/λ₁, 1/(1 + δ) = λ₁/(b²(ψ + θ²)); γ = N/ñ, so that ñ/d = ψ/γ."""
    spike = population_spike()
    load, x, ratio = spike / (b**2 * (psi + theta**2)), gamma / spike, psi / gamma
    free = 1 - ratio * x * b**2 * load
    delta = 1 - ratio * x / psi * (1 - b**2 + b**2 / free) - 1 / load
    secular = ratio * x * load * b**2 * (1 + theta**2 / psi) - 1
    return sp.simplify(delta), sp.simplify(secular)


def widened(power, order):
    """E[He_order(h) σ(r h)] for σ = u^power and r² = 1 + ε, exact in ε, by Gaussian moments."""
    h = sp.Symbol("h")
    polynomial = sp.Poly(sp.expand(_hermite(order, h) * h**power), h)
    total = sum(c * sp.factorial2(k - 1) for (k,), c in polynomial.terms() if k % 2 == 0)
    return total * sp.sqrt(1 + eps) ** power


def widened_series(power, order):
    """The same as r^order Σ_i μ_{order+2i} (ε/2)^i/i!."""
    total = sum(
        sp.diff(u**power, u, order + 2 * i).subs(u, sp.Symbol("h")) * (eps / 2) ** i / sp.factorial(i)
        for i in range((power - order) // 2 + 1)
    )
    polynomial = sp.Poly(sp.expand(total), sp.Symbol("h"))
    mean = sum(c * sp.factorial2(k - 1) for (k,), c in polynomial.terms() if k % 2 == 0)
    return mean * sp.sqrt(1 + eps) ** order


def _hermite(order, h):
    before, now = sp.Integer(0), sp.Integer(1)
    for k in range(order):
        before, now = now, sp.expand(h * now - k * before)
    return now


def test_outlier():
    assert outlier_residual() == (0, 0)


def test_widened_gaussian():
    for power in range(7):
        for order in range(power % 2, power + 1, 2):
            assert sp.simplify(widened(power, order) - widened_series(power, order)) == 0


if __name__ == "__main__":
    test_outlier()
    test_widened_gaussian()
