"""The network's own output in the second residual, on batches of their own: its forms with the rows' noise.

On a sample of the second batch σ(h⁽¹⁾) less its mean is E σ' ⟨w', x⟩ + ε^σ, w' the row of step one without its mean, of
covariance S₁. So the vectors of `frame` are (1/N) Σ_i ā_i r_i with r = M_{g E σ'} w' + X₂^T (g ε^σ)/n, and

    η = (1/d) tr Q (1 + s₂ā M_a) S₁ M_{g E σ'} + φ s₂ā E[g r E[ε ε^σ] R₀₀],
    ρ = (1/d) tr Q M_{g E σ'} S₁ M_{g' E σ'} + φ E[g g' E ε^σ² R₀₀],

words in matrices of both batches, from which samples are taken out one by one as in `output_reused`
(theory/deformed-bulk.md, `deformed-bulk.output`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rmtfl.weights.deformed import slopes
from rmtfl.weights.deformed.pencil import Batch, Point
from rmtfl.weights.deformed.transfer import Matrix
from rmtfl.weights.statistics import Statistics

Array = NDArray[np.float64]


@dataclass(frozen=True)
class IndependentOutput:
    """See `rmtfl.weights.deformed.frame.Output`.

    Attributes:
        coefficients: c_l(a) of s₂ a E σ'(h⁽¹⁾) = Σ_l c_l(a) g_l at the second-layer nodes, shape (N, L).
        layer: ā at the nodes, shape (N,).
        values: g_l at the samples of the second batch, shape (L, n).
        at: `slopes.grid`, where the following are given.
        shift: S there.
        terms: (1, s₂ a α_l) there (`rmtfl.weights.deformed.two_steps.Independent`).
        row, square: the blocks of w' and of the square of step one's matrix.
        y: labels of the first batch.
        slope: E σ'(h⁽¹⁾) at values of ā (rows) and samples (columns).
        shared: s₂ a r E[ε ε^σ], likewise.
        noise: E ε^σ², likewise.
        batches: both.
    """

    stats: Statistics
    coefficients: Array
    layer: Array
    values: Array
    at: Array
    shift: Array
    terms: Array
    row: NDArray[np.intp]
    square: NDArray[np.intp]
    y: Array
    slope: Array
    shared: Array
    noise: Array
    batches: tuple[Batch, Batch]

    def forms(self, point: Point) -> tuple[Array, Array]:
        """η of shape (N, L) and ρ of shape (N, L, L) at the second-layer nodes."""
        stats, phi, S = self.stats, self.stats.phi, self.shift
        rest = max(stats.v1 - stats.mu2**2, 0.0)
        squared = np.hypot(1 + S * stats.c0 * stats.mu2, S * stats.specific) ** 2  # (1/d) tr S₁
        weight, (J, B), support = self.batches[1].weight, point.full[1], self.batches[1].support
        column = J[:, :, 0] @ point.G[:, support].T  # R e₀, shape (n, D)
        left = np.eye(point.G.shape[0])[0, support] - phi * (point.G[0, support] @ B)  # e₀^T J̃ on the support
        corner = column[:, 0]
        along, twice = (self._mean(point, self.y**k) for k in (1, 2))
        once, both = along @ point.G, twice @ point.G
        form = (
            point.G[np.ix_(support, self.row)],
            2 * stats.mu2 * once[np.ix_(support, self.row)],
            stats.mu2**2 * once[np.ix_(self.square, support)].T + rest * phi * both[np.ix_(support, self.row)],
        )
        seen = sum(power[:, None] * (self.terms @ part.T) for power, part in zip((S**0, S, S**2), form, strict=True))
        kernel = self.slope * (seen @ left.T) + phi * self.shared * corner
        with_rows = (kernel * weight) @ self.values.T
        within = np.empty((S.size, *[len(self.values)] * 2))
        for k in range(S.size):
            t = self.values * self.slope[k]
            plain = (t * weight) @ column
            first, second = plain @ along.T, plain @ twice.T
            total = plain + 2 * S[k] * stats.mu2 * first
            total += S[k] ** 2 * (stats.mu2**2 * (first @ along.T + phi * second) + rest * phi * second)
            word = total[:, support] @ left.T + phi * squared[k] * t * corner
            form_within = (word * weight) @ t.T + phi * (self.values * weight * self.noise[k] * corner) @ self.values.T
            within[k] = (form_within + form_within.T) / 2
        return slopes.interpolate(with_rows, self.at, self.layer), slopes.interpolate(within, self.at, self.layer)

    def _mean(self, point: Point, factor: Array) -> Matrix:
        """E[factor J̃] over the first batch, of shape (D, D)."""
        batch, (_, B) = self.batches[0], point.full[0]
        result = float(batch.weight @ factor) * np.eye(point.G.shape[0])
        result[:, batch.support] -= self.stats.phi * point.G[:, batch.support] @ batch.mean(B, factor)
        return result
