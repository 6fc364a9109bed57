"""What rows of a trained layer share beside their mean: the directions of the samples that the steps have seen.

Beside its mean a row is its untrained self times √own, and from each batch b a sum over its samples x_j of independent
numbers; the square of the latter is y_j² after one step. Over neurons of one ā that has, times d, the covariance

    own + Σ_b noise_b A_b,    A_b = (1/n) Σ_j ω_j x_j x_j^T,    E ω = 1,

which is isotropic only for n ≫ d and labels of one size. With T and P = P₀ + Σ_b P_b ⊗ A_b as in
`rmtfl.regression.equivalents`, the mean over coordinates of (T^{-1} + P)^{-1} is, by leaving a sample out,

    X = (T^{-1} + P̄)^{-1},    P̄ = P₀ + Σ_b E[ω P_b (1 + φ ω X P_b)^{-1}]

(theory/feature-regression.md, `feature-regression.batches`). Checked against matrices in tests/regression.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rmtfl.features.spread import Spread
from rmtfl.weights.second_layer import discrete_rule

Array = NDArray[np.float64]

LARGE = 5.0  # of φ ω


@dataclass(frozen=True)
class Batches:
    """The rows beside their mean, and the law of a sample's share in them.

    Attributes:
        own: of the untrained rows, by ā, shape (m,).
        noise: of each batch, shape (B, m); own plus its sum is ρ².
        share: ω at the nodes of a rule, shape (J,).
        weight: of the nodes, for E[ω ·], shape (J,).
        phi: d/n.
    """

    own: Array
    noise: Array
    share: Array
    weight: Array
    phi: float


def batches(spread: Spread, phi: float, order: int) -> Batches:
    """The rows' parts with a Gauss rule of so many nodes, for functions of 1 + φ ω g with g somewhat below 1."""
    shares = spread.shares if np.any(spread.shares) else np.ones_like(spread.shares)  # none counts: any will do
    weight = spread.masses * shares
    share = shares * float(spread.masses.sum()) / float(weight.sum())
    middle = LARGE / phi
    values, where = np.unique(share / (middle + share), return_inverse=True)
    bounded, weight = discrete_rule(values, np.bincount(where, weight / weight.sum()).astype(np.float64), order)
    return Batches(spread.own, np.maximum(spread.noise, 0.0), middle * bounded / (1 - bounded), weight, phi)


@dataclass(frozen=True)
class Response:
    """P̄ and what it is made of, at an X.

    Attributes:
        batches: of the layer.
        parts: P_b, shape (B, q, q).
        X: shape (q, q), symmetric.
        whole: P̄, shape (q, q).
        left: Y = (1 + φ ω P_b X)^{-1}, shape (B, J, q, q).
    """

    batches: Batches
    parts: Array
    X: Array
    whole: Array
    left: Array

    @classmethod
    def at(cls, batches: Batches, P0: Array, parts: Array, X: Array) -> Response:
        """The response to P₀, shape (q, q), and P_b at an X."""
        scaled: Array = (batches.phi * batches.share)[:, None, None] * (parts @ X)[:, None]
        left = np.asarray(np.linalg.inv(np.eye(len(X)) + scaled))
        whole = P0 + np.einsum("j,bjkl,blm->km", batches.weight, left, parts)
        return cls(batches, parts, X, whole, left)

    def loads(self) -> Array:
        """E[ω X Y], which the noise of each batch meets as X meets what is isotropic, shape (B, q, q)."""
        return np.asarray(self.X @ np.einsum("j,bjkl->bkl", self.batches.weight, self.left))
