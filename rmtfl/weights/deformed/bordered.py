"""Samples whose T is a function of the label alone but for a border: the transfer of a reused batch.

A sample's matrix is T = Y(y) + e₀ q^T + q e₀^T + t e₀e₀^T, with Y(y) on few blocks (its support) and a vector q and a
number t of the sample's own. Only Y needs an inverse, one a label, shared by all samples with that label; the border is
of rank two, and Woodbury's formula adds it:

    B = B_Y + J_Y W X W^T J̃_Y,   X = M (I + φ h M)^{-1},   h = W^T H W,   W = (e₀, q),   M = [[t, 1], [1, 0]],
    R = H - φ H W X W^T H,        J_Y = I - φ B_Y G,         J̃_Y = I - φ G B_Y,   H = G J_Y.

Checked against the dense inverses in tests/weights/test_deformed_reused.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rmtfl.weights.deformed.transfer import Array, Matrix, product


@dataclass(frozen=True)
class Bordered:
    """The matrices T of a batch of L labels, with K samples to each, in the order (label, sample).

    Attributes:
        part: the blocks that Y acts on, shape (k,).
        labelled: Y on them, shape (L, k, k).
        border: q, shape (L, K, D).
        corner: t, shape (L, K).
    """

    part: NDArray[np.intp]
    labelled: Matrix
    border: Matrix
    corner: Matrix

    def transfer(self, weight: Array, phi: float, G: Matrix) -> BorderedTransfer:
        """J, B and R at G.

        Args:
            weight: of the nodes, shape (L K,).
            phi: d/n.
            G: shape (D, D).
        """
        return BorderedTransfer(self, weight.reshape(self.corner.shape), phi, G)


class BorderedTransfer:
    """J, B and R of a batch with bordered T; see `rmtfl.weights.deformed.transfer.Transfer`."""

    def __init__(self, T: Bordered, weight: Array, phi: float, G: Matrix) -> None:
        self.T, self.weight, self.phi, self.G = T, weight, phi, G
        part, border, t = T.part, T.border, T.corner
        self.inner = np.eye(part.size) + phi * (T.labelled @ G[np.ix_(part, part)])
        self.labelled = np.linalg.solve(self.inner, T.labelled)  # B_Y
        corner = np.zeros((border.shape[0], 1, G.shape[0]))
        corner[:, :, 0] = 1
        W = np.concatenate([corner, border], axis=1)
        self.columns, self.rows = W.astype(G.dtype), W.astype(G.dtype)  # J_Y W and W^T J̃_Y
        self.columns[:, :, part] -= phi * ((W @ G.T[:, part]) @ self.labelled.transpose(0, 2, 1))
        self.rows[:, :, part] -= phi * ((W @ G[:, part]) @ self.labelled)
        self.seen = self.columns @ G.T  # H W
        h00, h0q = self.seen[:, :1, 0], self.seen[:, 1:, 0]
        hq0 = (border @ self.seen[:, 0, :, None])[:, :, 0]
        hqq = np.einsum("lkd,lkd->lk", border, self.seen[:, 1:])
        a, b = 1 + phi * (h00 * t + h0q), phi * h00
        c, d = phi * (hq0 * t + hqq), 1 + phi * hq0
        self.determinant = a * d - b * c
        self.X = (t * d - c) / self.determinant, (a - t * b) / self.determinant, d / self.determinant
        self.X11 = -b / self.determinant
        # The two components of X W^T H e₀.
        self.first = self.X[0] * h00 + self.X[1] * hq0, self.X[2] * h00 + self.X11 * hq0
        self.corner = h00 - phi * (h00 * self.first[0] + h0q * self.first[1])

    def mean(self, factor: Array | None = None) -> Matrix:
        """E[factor B], shape (D, D)."""
        weight = self.weight if factor is None else self.weight * factor.reshape(self.weight.shape)
        X00, X01, X10 = (weight * x for x in self.X)
        D = self.G.shape[0]
        left, right = self.columns[:, 0], self.rows[:, 0]
        across, down = self.rows[:, 1:], self.columns[:, 1:]
        total = left.T @ (X00.sum(axis=1)[:, None] * right + (X01[:, None, :] @ across)[:, 0])
        total += (X10[:, None, :] @ down)[:, 0].T @ right
        total += down.reshape(-1, D).T @ ((weight * self.X11)[:, :, None] * across).reshape(-1, D)
        k = self.T.part.size
        total[np.ix_(self.T.part, self.T.part)] += product(
            weight.sum(axis=1), self.labelled.reshape(-1, k * k)
        ).reshape(k, k)
        return np.asarray(total)

    def seen_mean(self, factor: Array | None = None) -> Matrix:
        """E[factor R] = E[factor] G - φ G E[factor B] G, shape (D, D)."""
        weight = self.weight if factor is None else self.weight * factor.reshape(self.weight.shape)
        return np.asarray(weight.sum() * self.G - self.phi * self.G @ self.mean(factor) @ self.G)

    def seen_column(self, factors: Array) -> Matrix:
        """E[factor R e₀] for every row of factors of shape (r, n): shape (r, D)."""
        weight = self.weight * factors.reshape(-1, *self.weight.shape)
        first, second = (self.phi * weight * x for x in self.first)
        at_label = weight.sum(axis=2) - first.sum(axis=2)
        D = self.G.shape[0]
        own = self.seen[:, 1:].reshape(-1, D)
        return np.asarray(at_label @ self.seen[:, 0] - second.reshape(factors.shape[0], len(own)) @ own)

    @property
    def seen_corner(self) -> Matrix:
        """R₀₀ of every node, shape (n,)."""
        return np.asarray(self.corner.reshape(-1))

    def full(self) -> tuple[Matrix, Matrix]:
        """J and B of every node, shape (n, D, D)."""
        X00, X01, X10 = (x[:, :, None, None] for x in self.X)
        left, right = self.columns[:, :1, :, None], self.rows[:, :1, None, :]
        down, across = self.columns[:, 1:, :, None], self.rows[:, 1:, None, :]
        B = left * (X00 * right + X01 * across) + down * (X10 * right + self.X11[:, :, None, None] * across)
        part, D = self.T.part, self.G.shape[0]
        B[:, :, part[:, None], part] += self.labelled[:, None]
        B = B.reshape(-1, D, D)
        return np.eye(D) - self.phi * (B @ self.G), B

    @property
    def physical(self) -> bool:
        """Whether det J is positive everywhere."""
        outer = np.real(np.linalg.det(self.inner))[:, None] * np.real(self.determinant)
        return bool(np.all(outer > 0))
