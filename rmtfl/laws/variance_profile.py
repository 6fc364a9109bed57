"""The law of Y Y^T where the entries of Y have a block variance profile.

Y is p x n with independent entries of mean 0; rows fall into classes of shares α_i, columns into classes of shares
β_j, and an entry of classes (i, j) has variance s_ij/n. The diagonal of the resolvents of Y Y^T and Y^T Y solves

    m_i = -1/(z (1 + Σ_j β_j s_ij m~_j)),   m~_j = -1/(z (1 + γ Σ_i α_i s_ij m_i)),   γ = p/n

(Girko; Hachem, Loubaton and Najim 2007; a quadratic vector equation), unique in C⁺. Solved by Anderson iteration,
continued from far above the axis.

Where it breaks down: on the axis near an edge, where the iteration stops converging and says so; no edges are
given. Checked in tests/laws/test_variance_profile.py against Marchenko-Pastur laws and sampled matrices.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rmtfl.errors import BadInput
from rmtfl.laws.base import Floats, real_or_complex
from rmtfl.solve import Anderson, FixedPoint, continuation

Complexes = NDArray[np.complex128]

#: Distances above the axis, relative to the largest eigenvalue's bound, through which the solution is continued.
LADDER = (3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.0)


class VarianceProfile:
    """Law of the p eigenvalues of Y Y^T.

    Args:
        ratio: γ = p/n.
        variances: s_ij, shape (row classes, column classes), nonnegative.
        rows: Shares α_i, which sum to 1.
        columns: Shares β_j, which sum to 1.

    Raises:
        BadInput: If shapes or values do not fit.
    """

    def __init__(self, ratio: float, variances: ArrayLike, rows: Sequence[float], columns: Sequence[float]) -> None:
        self.ratio, self.variances = float(ratio), np.asarray(variances, float)
        self.rows, self.columns = np.asarray(rows, float), np.asarray(columns, float)
        if not ratio > 0 or self.variances.shape != (self.rows.size, self.columns.size):
            raise BadInput(f"ratio = {ratio!r}, variances of shape {self.variances.shape}: they must fit the shares")
        if (self.variances < 0).any() or not self.variances.any():
            raise BadInput("variances: nonnegative numbers, not all 0, are needed")
        for key, share in (("rows", self.rows), ("columns", self.columns)):
            if (share <= 0).any() or abs(share.sum() - 1) > 1e-12:
                raise BadInput(f"{key}: positive shares that sum to 1 are needed, not {share.tolist()}")

    @property
    def bound(self) -> float:
        """A bound on the support: (1 + sqrt γ)² times the largest variance."""
        return float((1 + np.sqrt(self.ratio)) ** 2 * self.variances.max())

    def resolvents(self, z: complex) -> tuple[Complexes, Complexes]:
        """Return m_i, per row class, and m~_j, per column class, at z in the closed upper half-plane, z ≠ 0.

        Raises:
            ToleranceNotMet: If the iteration does not converge.
        """
        split = self.rows.size

        def problem(point: complex) -> FixedPoint:
            def step(x: Complexes) -> Complexes:
                m, other = x[:split], x[split:]
                return np.concatenate(
                    [
                        -1 / (point * (1 + self.variances @ (self.columns * other))),
                        -1 / (point * (1 + self.ratio * self.variances.T @ (self.rows * m))),
                    ]
                )

            return FixedPoint(step, project=lambda x: x.real + 1j * np.abs(x.imag))

        chain = [problem(z + 1j * rung * self.bound) for rung in LADDER]
        start = np.full(split + self.columns.size, -1 / (z + 3j * self.bound))
        found = continuation(chain, Anderson(memory=6, damping=0.5), start, tolerance=1e-13, max_steps=3000)
        return found.value[:split], found.value[split:]

    def stieltjes(self, z: ArrayLike) -> Complexes:
        """Return m(z) = Σ α_i m_i, any shape."""
        points = real_or_complex(z)
        values = [np.sum(self.rows * self.resolvents(point)[0]) for point in points.ravel().tolist()]
        return np.array(values, complex).reshape(points.shape)

    def density(self, x: ArrayLike) -> Floats:
        """Return the density at real x > 0, any shape."""
        return np.asarray(self.stieltjes(np.asarray(x, float)).imag / np.pi)
