"""The equation of a block variance profile.

For Y of shape p x n whose entries of classes (i, j) have variance s_ij/n, rows in classes of shares α_i, columns in
classes of shares β_j, the diagonal m_i of the resolvent of Y Y^T solves, with B_ij = β_j s_ij and C_ji = γ α_i s_ij,

    1/m_i + z = Σ_j B_ij/b_j,   b_j = 1 + Σ_i C_ji m_i,

with one solution in C⁺ at every z in C⁺ (Girko; Hachem, Loubaton and Najim 2007), by `diagonal` with
K = B diag(b^{-2}) C.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from rmtfl.laws.base import Floats
from rmtfl.laws.diagonal import EPS, Complexes, DiagonalEquation, Terms


@dataclass(frozen=True)
class ProfileTerms(Terms):
    """With G = 1 + m (z - Σ_j B_ij/b_j).

    Attributes:
        inverse: 1/b, shape (points, column classes).
    """

    inverse: Complexes


@dataclass(frozen=True, eq=False)
class ProfileEquation(DiagonalEquation):
    """The equation of one profile.

    Attributes:
        ratio: γ = p/n.
        variances: s_ij, shape (row classes, column classes).
        rows: Shares α_i.
        columns: Shares β_j.
    """

    ratio: float
    variances: Floats
    rows: Floats
    columns: Floats

    @cached_property
    def to_rows(self) -> Floats:
        """B, shape (row classes, column classes)."""
        return np.asarray(self.variances * self.columns)

    @cached_property
    def to_columns(self) -> Floats:
        """C, shape (column classes, row classes)."""
        return np.asarray(self.ratio * (self.variances * self.rows[:, None]).T)

    @property
    def size(self) -> int:
        """The number of row classes."""
        return self.rows.size

    @cached_property
    def bound(self) -> float:
        """A bound on the support: (1 + sqrt γ)² times the largest variance."""
        return float((1 + np.sqrt(self.ratio)) ** 2 * self.variances.max())

    def terms(self, z: Complexes, m: Complexes) -> ProfileTerms:
        """Return the equation's parts at z, shape (points,), and m, shape (points, row classes)."""
        inverse = 1 / (1 + m @ self.to_columns.T)
        pull = inverse @ self.to_rows.T
        residual = 1 + m * (z[:, None] - pull)
        # 1/b is off by the roundings of b's largest part.
        spread = np.abs(inverse) * (1 + np.abs(inverse) * (1 + np.abs(m) @ self.to_columns.T))
        noise = EPS * (1 + np.abs(m) * (np.abs(z)[:, None] + spread @ self.to_rows.T))
        kernel = (self.to_rows * inverse[:, None, :] ** 2) @ self.to_columns
        return ProfileTerms(residual, noise, m[:, :, None] * kernel * m[:, None, :], inverse)

    def share(self, x: Floats, m: Complexes) -> Floats:
        """Return the distribution function at real x > 0 from m there.

        With L = ∫ log(t - z) dμ = log(-z) + Σ α log a + Σ (β/γ) log b + z Σ α β s m m~, a = -1/(z m), m~ = -1/(z b),
        stationary in m and m~, it is -Im L/π.
        """
        inverse = 1 / (1 + m @ self.to_columns.T)
        turned = np.angle(m) @ self.rows + np.angle(inverse) @ self.columns / self.ratio
        return np.asarray((turned + x * (m.imag @ self.rows)) / np.pi)
