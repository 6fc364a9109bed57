"""The network's own output in the second residual, on one batch: its forms with the rows' noise.

On a sample the output follows the rows' noise as the update does (`reused`): σ(h⁽¹⁾) less its mean is

    σ̃ = α^σ ⟨w₀, x⟩ + β^σ ⟨w', x⟩ + ε^σ,     β^σ = E σ'(h⁽¹⁾),   α^σ = E[h σ(h⁽¹⁾)] - β^σ (κ + S φ μ₂ y),

with ε^σ uncorrelated with w₀ and C^σ = S y E[ρ ε^σ]. With φ_j = (1/N) Σ_i ā_i σ̃_i on sample j, the vector X^T (g φ)/n
of a function g of the sample is (1/N) Σ_i ā_i r_i, r = M_{g α^σ} w₀ + M_{g β^σ} w' + X^T (g ε^σ)/n. `frame` needs of it

    η = (1/d) tr E[r w^T] Q,     ρ = (1/d) tr E[r r'^T] Q.

Both are traces of Q, words in the matrices M of the batch, and blocks of L^{-1}. Taking one sample out of such a word,

    x^T L^{-1} M_1 ... M_k x/d = J̃ 𝒩(1 ... k) + φ Σ_i m_i J̃ 𝒩(1 ... i-1) (x^T M_{i+1} ... M_k x/d),

𝒩(1 ... k) = (1/d) tr L^{-1} M_1 ... M_k, itself a mean over samples of a shorter one; m_i are the sample's numbers
(theory/deformed-bulk.md, `deformed-bulk.output`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rmtfl.weights.deformed import slopes
from rmtfl.weights.deformed.pencil import Point
from rmtfl.weights.deformed.transfer import Matrix
from rmtfl.weights.statistics import Statistics

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Fluctuation:
    """α^σ, β^σ = E σ', C^σ, E ε^σ² and E[ε ε^σ] at values of ā (rows) and samples (columns), and C of the update."""

    on_first: Array
    slope: Array
    crossed: Array
    noise: Array
    shared: Array
    update_crossed: Array


@dataclass(frozen=True)
class ReusedOutput:
    """See `rmtfl.weights.deformed.frame.Output`.

    Attributes:
        coefficients: c_l(a) of s₂ a E σ'(h⁽¹⁾) = Σ_l c_l(a) g_l at the second-layer nodes, shape (N, L).
        layer: ā at the nodes, shape (N,).
        values: g_l at the samples, shape (L, n).
        y: the labels of the samples, shape (n,).
        weight: of the samples.
        at: `slopes.grid`, where the following are given.
        cut: as for `slopes.grid`.
        shift: S there.
        e, f: of the row of the second step there (`rmtfl.weights.deformed.reused.Reused`).
        blocks: those of e, of f and of the squares of f.
        fluctuation: at these values of ā and the samples.
    """

    stats: Statistics
    coefficients: Array
    layer: Array
    values: Array
    y: Array
    weight: Array
    at: Array
    cut: bool
    shift: Array
    e: Array
    f: Array
    blocks: tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]
    fluctuation: Fluctuation

    def forms(self, point: Point) -> tuple[Array, Array]:
        """η of shape (N, L) and ρ of shape (N, L, L) at the second-layer nodes."""
        sample = _Samples(self, point)
        with_rows = (self._seen(sample) * self.weight) @ self.values.T
        within = np.array([self._within(sample, k) for k in range(self.at.size)])
        return self._at_nodes(with_rows), self._at_nodes(within)

    def _at_nodes(self, values: Array) -> Array:
        return slopes.interpolate(values, self.at, self.layer, cut=self.cut)

    def _seen(self, sample: _Samples) -> Array:
        """E[σ̃ x^T Q w] for every value of ā and sample, shape (len(at), n)."""
        stats, known, e, f = self.stats, self.fluctuation, self.e, self.f
        row_e, row_f, square = self.blocks
        y, phi, mu2, S = self.y, stats.phi, stats.mu2, self.shift[:, None]
        rest = max(stats.v1 - mu2**2, 0.0)
        on_e, on_f = e @ sample.row[:, row_e].T, f @ sample.row[:, row_f].T
        on_square = f @ sample.column[:, square].T
        once, twice = sample.left @ sample.once, sample.left @ sample.twice
        again = sample.right @ sample.once.T
        first = on_e + on_f + mu2 * S * on_square
        second = on_e + mu2 * S * (e @ once[:, row_e].T + phi * y * on_e)
        second += on_f + 2 * mu2 * S * on_square + (mu2 * S) ** 2 * (f @ again[:, square].T + phi * y * on_square)
        second += rest * phi * S**2 * (f @ twice[:, row_f].T + phi * y**2 * on_f)
        crossed = (known.update_crossed * self.weight) @ sample.column  # E[C R e₀], shape (len(at), D)
        second += phi * (crossed @ sample.left.T + phi * known.update_crossed * sample.corner)
        return np.asarray(
            known.on_first * first + known.slope * second + phi * (known.crossed * on_f + known.shared * sample.corner)
        )

    def _within(self, sample: _Samples, k: int) -> Array:
        """ρ at one value of ā, shape (L, L)."""
        stats, known, g, y = self.stats, self.fluctuation, self.values, self.y
        phi, S = stats.phi, float(self.shift[k])
        rest = max(stats.v1 - stats.mu2**2, 0.0)
        p, t, c = g * known.on_first[k], g * known.slope[k], g * known.crossed[k]
        mean = stats.c0 + phi * y  # x^T M x/d
        squared = stats.c0**2 + phi * stats.m2 + phi * y * (2 * stats.c0 + phi * y)  # x^T M² x/d

        def product(left: Array, right: Array) -> Array:
            return np.asarray((left * self.weight) @ right.T)

        # x^T Q M_t ... x/d of every sample, shape (L, n), and the 𝒩 they are made of, shape (L, D).
        n_t, n_p, n_c = (sample.trace(m) for m in (t, p, c))
        n_ty = n_t @ sample.along.T + phi * sample.trace(t * y)
        n_py = n_p @ sample.along.T + phi * sample.trace(p * y)
        n_tyy = n_ty @ sample.along.T + phi * sample.trace(t * y * mean) + phi * n_t @ sample.square.T
        n_tq = n_t @ sample.square.T + phi * sample.trace(t * y**2)
        left, corner = sample.left.T, sample.corner

        def word(total: Array, own: Array) -> Array:
            return np.asarray(total @ left + phi * own * corner)

        x_p, x_c, x_t = word(n_p, p), word(n_c, c), word(n_t, t)
        x_py = word(n_py, p * mean) + phi * y * (n_p @ left)
        x_ty = word(n_ty, t * mean) + phi * y * (n_t @ left)
        x_tyy = word(n_tyy, t * squared) + phi * y * mean * (n_t @ left) + phi * y * (n_ty @ left)
        x_tq = word(n_tq, t * (stats.m2 + phi * y**2)) + phi * y**2 * (n_t @ left)
        mixed = product(x_p + stats.mu2 * S * x_py, t) + phi * product(x_c, t)
        total = product(x_p, p) + mixed + mixed.T
        total += product(x_t + 2 * stats.mu2 * S * x_ty + (stats.mu2 * S) ** 2 * x_tyy + S**2 * rest * phi * x_tq, t)
        total += phi * product(g * known.noise[k] * corner, g)
        return (total + total.T) / 2


class _Samples:
    """What a point knows of the samples of the batch.

    Attributes:
        right: J e₀, shape (n, D).
        left: e₀^T J̃.
        column: R e₀.
        row: e₀^T R.
        corner: R₀₀, shape (n,).
        along: E[y J̃], shape (D, D).
        square: E[y² J̃].
        once: E[y R].
        twice: E[y² R].
    """

    def __init__(self, output: ReusedOutput, point: Point) -> None:
        ((J, B),) = point.full
        self.weight, self.phi, self.G, self.B = output.weight, output.stats.phi, point.G, B
        self.right = J[:, :, 0]
        self.left = np.eye(point.G.shape[0])[0] - self.phi * (point.G[0] @ B)
        self.column, self.row = self.right @ point.G.T, self.left @ point.G
        self.corner = self.row[:, 0]
        self.along, self.square = self.mean(output.y), self.mean(output.y**2)
        self.once, self.twice = self.along @ point.G, self.square @ point.G

    def mean(self, factor: Array) -> Matrix:
        """E[factor J̃], shape (D, D)."""
        weight = self.weight * factor
        total = (weight @ self.B.reshape(weight.size, -1)).reshape(self.B.shape[1:])
        return np.asarray(weight.sum() * np.eye(len(total)) - self.phi * self.G @ total)

    def trace(self, values: Array) -> Array:
        """(1/d) tr L^{-1} M in the column of block 0, for rows of values of shape (L, n): shape (L, D)."""
        return np.asarray((values * self.weight) @ self.column)
