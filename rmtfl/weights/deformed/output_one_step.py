"""The network's own output in the first residual, after one step: its forms with the rows' noise.

σ(h) less its mean is μ₁ ⟨w₀, x⟩ + ε^σ, so the vector of `frame` is (1/N) Σ_i ā_i r_i, r = μ₁ M₁ w₀ + X^T ε^σ/n and
M₁ = X^T X/n. It stands beside S μ₁, and with ρ the rest of σ' has the forms

    η = (1/d) tr Q [μ₁ (1 + S μ₂ M) M₁ + φ S E[ρ ε^σ] M],     (1/d) tr Q [μ₁² M₁² + φ E ε^σ² M₁],

words from which samples are taken out as in `output_reused` (theory/deformed-bulk.md, `deformed-bulk.output`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rmtfl.links import Link
from rmtfl.weights.deformed import slopes
from rmtfl.weights.deformed.pencil import Batch, Point
from rmtfl.weights.statistics import Statistics

Array = NDArray[np.float64]


@dataclass(frozen=True)
class OneStepOutput:
    """See `rmtfl.weights.deformed.frame.Output`.

    Attributes:
        link: σ.
        coefficients: S μ₁ at the second-layer nodes, shape (N, 1).
        layer: ā there.
        shift: S there.
        batch: the samples.
        y: their labels.
    """

    stats: Statistics
    link: Link
    coefficients: Array
    layer: Array
    shift: Array
    batch: Batch
    y: Array

    def forms(self, point: Point) -> tuple[Array, Array]:
        """η of shape (N, 1) and ρ of shape (N, 1, 1) at the second-layer nodes."""
        stats, phi, (_, B), G = self.stats, self.stats.phi, point.full[0], point.G
        R = G - phi * G @ B @ G
        left = np.eye(2)[0] - phi * (G[0] @ B)  # e₀^T J̃
        corner = R[:, 0, 0]
        weight, y = self.batch.weight, self.y
        at = np.zeros(1), np.ones(1)  # a neuron before the step
        noise = float(slopes.moments(self.link, *at).rest[0])
        shared = float(slopes.covariance(self.link, *at)[0])
        along = weight @ (left @ (self.batch.mean(R, y)[:, 0]) + phi * y * corner)
        mean, labelled = weight @ corner, (weight * y) @ corner
        eta = stats.mu1 * (mean + self.shift * stats.mu2 * along) + phi * self.shift * shared * labelled
        twice = weight @ (left @ self.batch.mean(R)[:, 0]) + phi * mean
        rho = np.full(self.shift.size, stats.mu1**2 * twice + phi * noise * mean)
        return eta[:, None], rho[:, None, None]
