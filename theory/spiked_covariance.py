"""The second moment of a row after one step, derived for polynomial links (theory/spiked-covariance.md)."""

from __future__ import annotations

from dataclasses import dataclass

import sympy as sp

from theory.gaussian_calculus import expect, h

z, t, rho = sp.symbols("z t rho", real=True)  # <x, β>, what x has of w across β, and the overlap of w with β
phi, d, step = sp.symbols("phi d s", positive=True)


@dataclass(frozen=True)
class Row:
    """Polynomial links in h, and the standard deviation of the label noise."""

    activation: sp.Expr
    target: sp.Expr
    noise: sp.Expr

    def mean_update(self) -> tuple[sp.Expr, sp.Expr]:
        """E[y σ'(<w, x>) x | w] along β and along what w has across β, to first order in their overlap ρ."""
        slope, target = sp.diff(self.activation, h), self.target.subs(h, z)
        # To first order in ρ the norm of w across β is 1, and <w, x> = ρ z + t.
        product = target * (slope.subs(h, t) + rho * z * sp.diff(slope, h).subs(h, t))
        return expect(product * z, z, t), expect(product * t, z, t)

    def own_samples(self) -> tuple[sp.Expr, sp.Expr]:
        """E[y² σ'²] times the second moment of x along β, and across it: ⟨w, x⟩ and z independent to leading order."""
        square = expect(sp.diff(self.activation, h) ** 2, h)
        label = self.target.subs(h, z) ** 2 + self.noise**2
        return square * expect(label * z**2, z), square * expect(label, z)

    def second_moment(self) -> tuple[sp.Expr, sp.Expr]:
        """A and B: along β the second moment is (A + B)/d, across it A/d."""
        own_along, own_across = self.own_samples()
        along, across = self.mean_update()
        average = sp.expand(along**2).coeff(rho, 0) + sp.expand(along**2).coeff(rho, 2) / d  # E ρ² = 1/d, E ρ = 0
        # Across β the update is along w, which has 1/d of its square in every direction; (1 − 1/n) is kept where d is.
        samples = 1 - phi / d
        leading = sp.expand(along).coeff(rho, 0) ** 2
        A = 1 + step**2 * (phi * own_across + sp.expand(across).coeff(rho, 0) ** 2)
        along_total = 1 + step**2 * (phi * own_along + d * (average - leading) + d * samples * leading)
        return sp.expand(A), sp.expand(along_total - A)
