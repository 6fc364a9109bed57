"""The dual kernel of any link by its Hermite series, with an error that is a bound.

With h_k(s) = E[He_k(g) σ(s g)]/√k!, Mehler's formula gives k(q, q', c) = Σ_k ρ^k h_k(√q) h_k(√q'), ρ = c/√(qq'), and
Σ_k h_k(s)² = E σ(s g)². By Cauchy–Schwarz the terms from K on are at most |ρ|^K (r(q) r(q'))^{1/2}, where r is what the
first K leave of the variance: that is the error reported, beside rounding. Derivatives in c follow term by term.

It converges slowly where σ(s·) is steep and |ρ| near one (a kink: like K^{−3/2} at ρ = 1), which the error then says.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rmtfl.gaussian import EPSILON, density, panels
from rmtfl.kernel.duals import Dual, Pair
from rmtfl.links import Link

Array = NDArray[np.float64]

REACH = 13.0  # He_k φ/√k! falls like φ^{1/2} within its oscillating range: φ^{1/2}(13) is 1e-19
VARIANCE_REACH = 24.0  # φ(24) is 1e-126: room for a σ² that grows like exp(x²/4)
PANEL = 0.25  # width of a panel of 16 nodes: resolves He_300, of wavelength 0.18
TERMS = 200
STEEP = 3.0  # scale s beyond which σ(s·) is integrated on graded panels


@dataclass(frozen=True)
class HermiteDual(Dual):
    """The dual of a link as a Hermite series of `terms` terms."""

    link: Link
    terms: int = TERMS

    def derivative(self, order: int, pair: Pair) -> Array:
        """Term-by-term derivative; its error is `bound` for order 0."""
        first, rows, second, columns = self._tables(pair)
        scale = np.sqrt(pair.first * pair.second)
        with np.errstate(divide="ignore", invalid="ignore"):
            rho = np.where(scale > 0, pair.covariance / scale, 0.0)
        total = np.zeros_like(rho)
        for k in range(self.terms - 1, order - 1, -1):  # Horner in ρ
            total = total * rho + math.perm(k, order) * first[k][rows] * second[k][columns]
        return np.asarray(total if order == 0 else total / scale**order)

    def bound(self, pair: Pair) -> Array:
        """A bound on the error of the kernel at each pair: truncation and rounding."""
        first, rows, second, columns = self._tables(pair)
        left = self._rest(first, pair.first)[rows]
        right = self._rest(second, pair.second)[columns]
        size = np.sqrt(self.variance(pair.first) * self.variance(pair.second))
        scale = np.sqrt(pair.first * pair.second)
        rho = np.divide(np.abs(pair.covariance), scale, out=np.zeros_like(scale), where=scale > 0)
        return np.asarray(np.minimum(rho, 1) ** self.terms * np.sqrt(left * right) + 64 * EPSILON * size)

    def variance(self, q: Array) -> Array:
        """E σ(√q h)² for each variance q, cut at the kinks."""
        q = np.asarray(q, float)
        distinct, where = np.unique(q, return_inverse=True)
        function = self.link.numpy()
        values = np.empty_like(distinct)
        for i, scale in enumerate(np.sqrt(distinct)):
            g, weights = self._rule(scale, VARIANCE_REACH)
            values[i] = weights @ function(scale * g) ** 2
        return np.asarray(values[where].reshape(q.shape))

    def _rule(self, scale: float, reach: float) -> tuple[Array, Array]:
        """Panels for N(0, 1), cut at the kinks of σ(scale ·) and graded towards 0 where that is steep."""
        cuts = [k / scale for k in self.link.breakpoints if abs(k) < reach * scale]
        if scale > STEEP:
            cuts += [side * 2.0**j / scale for j in range(-1, math.ceil(math.log2(9 * scale))) for side in (-1, 1)]
        g, weights = panels(sorted({*np.arange(-reach, reach + PANEL / 2, PANEL), *cuts}))
        return g, weights * density(g)

    def _tables(self, pair: Pair) -> tuple[Array, NDArray[np.intp], Array, NDArray[np.intp]]:
        first, rows = np.unique(pair.first, return_inverse=True)
        second, columns = np.unique(pair.second, return_inverse=True)
        return (
            self.coefficients(np.sqrt(first)),
            rows.reshape(pair.first.shape),
            self.coefficients(np.sqrt(second)),
            columns.reshape(pair.second.shape),
        )

    def _rest(self, table: Array, q: Array) -> Array:
        variance = self.variance(np.unique(q))
        return np.asarray(np.maximum(variance - (table**2).sum(axis=0), 0) + 64 * EPSILON * variance)

    def coefficients(self, scales: Array) -> Array:
        """h_k(s) for k < terms and each scale s: (terms, scales)."""
        function = self.link.numpy()
        table = np.empty((self.terms, scales.size))
        for i, s in enumerate(scales):
            g, weights = self._rule(s, REACH)
            product = weights * function(s * g)
            before, now = np.zeros_like(g), np.ones_like(g)
            for k in range(self.terms):
                table[k, i] = product @ now
                before, now = now, (g * now - math.sqrt(k) * before) / math.sqrt(k + 1)
        return table
