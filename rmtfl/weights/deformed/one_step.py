"""One step: the pencil of the weights after one gradient step, at any step size of order one.

With σ'(h) = μ₁ + μ₂ h + (the rest, of variance v = v₁ - μ₂²) a row of W₁ is, given the data and S = s₁ ā,

    w₁ = (I + S μ₂ M) w₀ + S μ₁ b + noise,      d Cov = (I + S μ₂ M)² + S² v φ M₂,

with M = X^T diag(y) X/n, M₂ = X^T diag(y²) X/n, b = X^T y/n. Two blocks carry it: (M²) is the second one eliminated.
Exact in the limit at fixed s₁; what is neglected at finite N is of relative order N^{-1/2} (theory/deformed-bulk.md).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from rmtfl.links import Link
from rmtfl.setup import Setup
from rmtfl.weights.deformed import nodes, own
from rmtfl.weights.deformed.frame import Curves, Output
from rmtfl.weights.deformed.output_one_step import OneStepOutput
from rmtfl.weights.deformed.pencil import Batch
from rmtfl.weights.deformed.transfer import Dense, Matrix
from rmtfl.weights.statistics import Statistics

Array = NDArray[np.float64]


class OneStep:
    """The pencil, D = 2; see `rmtfl.weights.deformed.pencil.Pencil`.

    Attributes:
        shift: S = s₁ ā at the second-layer nodes, shape (N,).
        coefficients: of the mean rows, S μ₁, shape (N, 1): Ψ(a) = S μ₁ b.
        output: of the network itself, whose activation is `link`; none without one, for the correlation loss.

    The mean rows are those of `rmtfl.weights.deformed.frame.Trained`.
    """

    size = 2
    curves: Curves | None = None

    def __init__(
        self,
        stats: Statistics,
        dimension: int,
        step: float,
        second: tuple[Array, Array],
        labels: nodes.Labels,
        direction: tuple[float, float],
        link: Link | None,
    ) -> None:
        a, weight = second
        self.stats, self.phi, self.dimension = stats, stats.phi, dimension
        self.rest = max(stats.v1 - stats.mu2**2, 0.0)
        self.rows = stats.psi * weight
        self.shift = step * a
        self.powers = np.array([np.ones_like(a), self.shift, self.shift**2])
        self.coefficients = stats.mu1 * self.shift[:, None]
        self.direction = direction
        self.y = labels.y
        self.batches = (label_batch(labels, direction[1], np.arange(2)),)
        self.output: Output | None = None
        if link is not None:
            self.output = OneStepOutput(stats, link, self.coefficients, a, self.shift, self.batches[0], self.y)

    def assemble(self, load: Matrix) -> tuple[Matrix, tuple[Matrix, ...]]:
        """C and T(y) at load = rows/(1 + δ)."""
        p0, p1, p2 = self.powers @ load
        mu2, y = self.stats.mu2, self.y
        T = np.zeros((y.size, 2, 2), dtype=load.dtype)
        T[:, 0, 0] = 2 * p1 * mu2 * y + p2 * self.rest * self.phi * y**2
        T[:, 0, 1] = p2 * mu2**2 * y
        T[:, 1, 0] = y
        return np.array([[p0, 0], [0, -1]]), (T,)

    def delta(self, G: Matrix, seen: tuple[Dense, ...]) -> Matrix:
        """δ(a) = (1/d) tr S(a) Q, quadratic in S."""
        (batch,), (labelled,), mu2 = self.batches, seen, self.stats.mu2
        r = labelled.R
        first = 2 * mu2 * batch.mean(r[:, 0, 0], self.y)
        second = mu2**2 * batch.mean(r[:, 1, 0], self.y)
        second = second + self.rest * self.phi * batch.mean(r[:, 0, 0], self.y**2)
        return np.asarray(np.array([G[0, 0], first, second]) @ self.powers)


def label_batch(labels: nodes.Labels, across: float, support: NDArray[np.intp]) -> Batch:
    """A batch of which T knows the label alone, in the frame (β, b^⊥) of its own b = X^T y/n.

    A sample's coordinate along b^⊥ is a Gaussian of its own and y ‖b^⊥‖/E y², its own part in b, unless it is known.

    Args:
        labels: of the batch.
        across: ‖b^⊥‖.
        support: the blocks that T acts on.
    """
    square = float(labels.weight @ labels.y**2)
    mean, rest = (labels.y * across / square, 1.0) if labels.g is None else (labels.g, 0.0)
    second = np.empty((labels.y.size, 2, 2))
    second[:, 0, 0], second[:, 1, 1] = labels.z2, rest + mean**2
    second[:, 0, 1] = second[:, 1, 0] = labels.z1 * mean
    scaled = labels.y / math.sqrt(square)
    mixed = np.column_stack([labels.z1, mean]) * scaled[:, None]
    return Batch(support, labels.weight, second, mixed, scaled**2)


def build(setup: Setup, stats: Statistics, growth: float = nodes.GROWTH) -> OneStep:
    """The pencil at the setup's width; `growth` is that of `rmtfl.weights.deformed.nodes.ranks`."""
    width = int(setup.sizes.width)
    return OneStep(
        stats,
        setup.sizes.dimension,
        setup.training.step_size(0, width),
        nodes.second_layer(setup.network.second_layer, width, growth),
        nodes.labels(setup, setup.sizes.samples, growth),
        own.direction(setup, stats),
        setup.network.activation if setup.training.loss == "squared" else None,
    )
