"""First order in the spike for relu on the sphere, exact in d (theory/spiked-perturbation.md)."""

from __future__ import annotations

import sympy as sp

d, A, B = sp.symbols("d A B", positive=True)


def absolute_moment(power: int) -> sp.Expr:
    """E|z|^p for z = <x, u>, x uniform on the sphere of radius √d."""
    half = sp.Rational(1, 2)
    ratio = sp.gamma((power + 1) * half) * sp.gamma(d / 2) / (sp.sqrt(sp.pi) * sp.gamma((d + power) / 2))
    return d ** (sp.Rational(power, 2)) * ratio


def raised(power: int) -> sp.Expr:
    """E|z|^(p+2)/E|z|^p = d (p + 1)/(d + p): Γ(x + 1) = x Γ(x) above and below."""
    return d * sp.Rational(power + 1, 2) / ((d + power) / 2)


def constant_eigenvalue() -> sp.Expr:
    """λ₀ = (E z₊)² of the isotropic kernel at A = 1."""
    return (absolute_moment(1) / 2) ** 2


def quadratic_ratio() -> sp.Expr:
    """a₂/a₀ of Funk and Hecke: E x₊-averages of Y₂ over that of 1, with P₂ = (z² − 1)/(d − 1); λ₂ = λ₀ (a₂/a₀)²."""
    return sp.factor((raised(1) - 1) / (d - 1))


def coupling() -> sp.Expr:
    """<Y₂, k₁ 1>/λ₀, for every B: E ‖w‖² Y₂(w/‖w‖) is the mean of a quadratic form in w ~ N(0, (A I + B uu^T)/d)."""
    along, total = (A + B) / d, A + B / d  # E <w, u>², E ‖w‖²
    norm = sp.sqrt(sp.factor(raised(2) - 1))  # of z² − 1: E z² = 1, E z⁴ = raised(2)
    return quadratic_ratio() * sp.factor(d * along - total) / norm


def mixing() -> sp.Expr:
    """τ, the first-order coefficient of Y₂ in the top eigenfunction: <Y₂, k₁ 1>/(A (λ₀ − λ₂))."""
    return coupling() / (A * sp.factor(1 - quadratic_ratio() ** 2))


def published_mixing() -> sp.Expr:
    """τ as published, as B → 0, with λ₀ and λ₂ of `constant_eigenvalue` and `quadratic_ratio`."""
    gap = A * constant_eigenvalue() * (1 - quadratic_ratio() ** 2)
    return sp.sqrt((2 * d - 2) / (d + 2)) / d * B / (4 * sp.pi * gap)
