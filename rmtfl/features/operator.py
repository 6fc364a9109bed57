"""A neuron's mean answer to a fresh sample, K(a, t) = E_g σ(⟨m(a), t⟩ + ρ(a) g), as an operator.

t ~ N(0, I_D) are the sample's coordinates along the directions of training, a a neuron's second-layer weight: on fresh
samples the entry σ(⟨w_i, x_j⟩) of the features has mean K(a_i, t_j) given both, and its singular functions are the
feature spikes, each N · n times its singular value squared (theory/features.md, `features.operator`). With r² = |m|² +
ρ² the variance of a preactivation, s_k the Hermite coefficients of σ(r ·) (`rmtfl.features.hermite`) and C(a, a') =
⟨m(a), m(a')⟩/(r r'),

    E_t K(a, t) K(a', t) = Σ_k s_k(r) s_k(r') C^k,      E[y ĥ_k] E_t = Σ_k y_k s_k(r) (m_β/r)^k

in any number D of directions, without a grid in t. What is not the mean: a part linear in the rest of the sample, of
standard deviation q(a) = ρ E σ'(r h), and a residual of variance v(a) = Σ_{k≥2} s_k² (1 − |m/r|^{2k}), which no sample
shares with another. E σ(r h)² = E_t K² + q² + v.

Used here for the conjugate kernel's spectrum; a Gaussian equivalent of the features is K(a, t) + q(a) ⟨u_i, x⟩ +
√v(a) noise, u_i ~ N(0, I/d) across the directions. Checked in tests/features/test_operator.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from rmtfl.errors import ToleranceNotMet
from rmtfl.features import hermite
from rmtfl.features.neurons import Neurons
from rmtfl.links import Link

Array = NDArray[np.float64]

ENOUGH = 1e-13  # of E σ²: what the series may leave out of a kernel
FIRST_COUNT = 30  # terms tried first; doubled up to hermite.LARGEST


@dataclass(frozen=True)
class FeatureOperator:
    """K(a, t) on nodes in a; build one with `feature_operator`.

    Attributes:
        neurons: the nodes, mean rows and spreads.
        coefficients: s_k(r(a)), shape (terms, m).
        moment: E σ(r h)², shape (m,).
        error: bound on what the series leaves out of any E_t K(a, t) K(a', t), weighted by √(mass · mass').
    """

    neurons: Neurons
    coefficients: Array
    moment: Array
    error: float

    @cached_property
    def radius(self) -> Array:
        """r(a), the standard deviation of a preactivation, shape (m,)."""
        return _radius(self.neurons)

    @cached_property
    def share(self) -> Array:
        """|m/r|², the part of a preactivation's variance that the directions carry, shape (m,)."""
        return np.asarray((self.neurons.mean**2).sum(axis=1) / self.radius**2)

    @cached_property
    def kernel(self) -> Array:
        """E_t K(a, t) K(a', t), shape (m, m)."""
        unit = self.neurons.mean / self.radius[:, None]
        correlation = unit @ unit.T
        total = np.zeros_like(correlation)
        for row in self.coefficients[::-1]:  # Horner in the correlation
            total *= correlation
            total += np.multiply.outer(row, row)
        return total

    @cached_property
    def linear(self) -> Array:
        """q(a) = ρ E σ'(r h), shape (m,)."""
        return np.asarray(self.neurons.spread * self.coefficients[1] / self.radius)

    @cached_property
    def residual(self) -> Array:
        """v(a), shape (m,): what is neither mean nor linear."""
        return np.asarray(np.maximum(self.moment - np.diagonal(self.kernel) - self.linear**2, 0.0))

    @cached_property
    def along(self) -> Array:
        """E_t[K(a, t) t_i], shape (m, D)."""
        return np.asarray((self.coefficients[1] / self.radius)[:, None] * self.neurons.mean)

    @cached_property
    def curvature(self) -> Array:
        """ρ² E σ''(r h), kinks included, shape (m,): twice what the norm of a row or a sample moves the mean by."""
        return np.asarray(np.sqrt(2.0) * self.coefficients[2] * (self.neurons.spread / self.radius) ** 2)

    def against_target(self, target: Array) -> Array:
        """E[y K(a, t)] for a target of Hermite coefficients y_k = E[ĥ_k(z) y], shape (m,)."""
        ratio = self.neurons.mean[:, 0] / self.radius
        total = np.zeros(ratio.size)
        count = min(target.size, self.coefficients.shape[0])
        for k in range(count - 1, -1, -1):
            total = total * ratio + target[k] * self.coefficients[k]
        return total

    def singular(self) -> tuple[Array, Array]:
        """Singular values of K, descending, and left functions of a.

        Returns:
            values: (m,), for the measures of a and t; the square of each loses the digits below 1e-8 of the largest.
            functions: (m, m), column j the j-th function at the nodes, of unit square integral.
        """
        root = np.sqrt(self.neurons.weight)
        squares, vectors = np.linalg.eigh(root[:, None] * self.kernel * root)
        return np.sqrt(np.maximum(squares[::-1], 0.0)), vectors[:, ::-1] / root[:, None]


def feature_operator(activation: Link, neurons: Neurons) -> FeatureOperator:
    """The operator of an activation and a layer.

    Raises:
        ToleranceNotMet: if the series in the correlation does not end, or the activation overflows.
    """
    radius = _radius(neurons)
    with np.errstate(over="ignore", invalid="ignore"):
        moment = hermite.second_moment(activation, radius)
    if not np.all(np.isfinite(moment)):
        raise ToleranceNotMet("the activation overflows doubles on the trained weights: it grows too fast")
    share = (neurons.mean**2).sum(axis=1) / radius**2
    count = FIRST_COUNT
    while True:
        found = hermite.coefficients(activation, radius, count)
        left = np.maximum(moment - (found**2).sum(axis=0), 0.0) * neurons.weight * share**count
        if left.max() <= ENOUGH * (neurons.weight @ moment) or count == hermite.LARGEST:
            return FeatureOperator(neurons, found, moment, float(left.sum()))
        count = min(2 * count, hermite.LARGEST)


def _radius(neurons: Neurons) -> Array:
    return np.asarray(np.sqrt((neurons.mean**2).sum(axis=1) + neurons.spread**2))
