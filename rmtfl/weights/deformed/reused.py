"""Two steps on one batch: the pencil of the weights after the second.

Given the batch and S = s₁ ā, both updates of a row together are (1/n) Σ_j Θ_j x_j with, on its sample j (`neuron`),

    Θ = S y σ'(h) + s₂ ā r σ'(h⁽¹⁾) = Θ₀ + c_h h + c_k k + ...,      r = y - f₁(y, G),

the mean Θ₀ and the parts linear in h and k depending on the sample through (y, G). √τ k is the row of step one, w', on
the sample, less κ h and less what the sample itself put there, S φ y (μ₂ h + ρ), ρ = σ'(h) - μ₁ - μ₂ h. With
β = c_k/√τ and α = c_h - β (κ + S φ μ₂ y) the row is therefore

    w₂ = (1 + M_α) w₀ + M_β w' + (1/n) X^T (Θ₀ + ε),     ε = Θ - Θ₀ - c_h h - c_k k - S φ β y ρ,

M_α = X^T diag(α) X/n, w' = (1 + S μ₂ M) w₀ + (S/n) Σ y_j ρ_j x_j, and ε uncorrelated with w₀, but not with ρ:

    d Cov = A A^T + S² v φ M_β M₂ M_β + φ (M_β M_C + M_C M_β) + φ M_{ε²},

with A = 1 + M_α + M_β (1 + S μ₂ M) and C = S y E[ρ ε].

α, β and Θ₀ are separated in ā and the sample (`slopes`). The blocks of the pencil are 0, the duals of the terms of
1 + α and of β, these terms themselves, and the square of M for β's: D = 1 + 2 (L_α + 1) + 3 L_β. A sample's T has a
part that depends on its label alone, and a border (`bordered`).

Approximate are the ranks, and the nodes: labels as in `nodes`, several G to each. The
network's output f₁ in r is its mean given (y, G); what it follows of the rows' noise is in `output_reused`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rmtfl.given import GivenBatches
from rmtfl.setup import Setup
from rmtfl.weights.deformed import neuron, nodes, own, slopes
from rmtfl.weights.deformed.bordered import Bordered, BorderedTransfer
from rmtfl.weights.deformed.frame import Curves, Output
from rmtfl.weights.deformed.output_reused import Fluctuation, ReusedOutput
from rmtfl.weights.deformed.pencil import Batch
from rmtfl.weights.deformed.transfer import Matrix
from rmtfl.weights.statistics import Statistics

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Accuracy:
    """How finely the batch and the separation in ā are resolved.

    Attributes:
        growth: of merged runs of quantiles, as in `nodes.ranks`.
        rank: the largest number of terms of α and of β.
        cutoff: terms below this part of the first are left out.
        each: samples to a label.
    """

    growth: float
    rank: int
    cutoff: float
    each: int


FINE = Accuracy(nodes.GROWTH, 5, 2e-3, 12)
OTHER = Accuracy(0.14, 4, 4e-3, 8)
COARSE = Accuracy(nodes.COARSE, 4, 5e-3, 6)
CUTOFF, RANK = 1e-6, 12  # of what costs no blocks
GOLDEN, PLASTIC = 0.6180339887498949, 0.7548776662466927  # steps of lattices: inverse roots of x² = x + 1, x³ = x + 1
NOISES = 3  # values of the label noise to a value of z


@dataclass(frozen=True)
class Samples:
    """A batch as L labels with K samples to each: arrays of shape (L, K), of the labels (L,).

    Attributes:
        y: the labels.
        z: the target's coordinate.
        g: the coordinate along b^⊥, the sample's own part taken out.
        weight: of the nodes.
    """

    y: Array
    z: Array
    g: Array
    weight: Array


class Reused:
    """The pencil, D = 1 + 2 (L_α + 1) + 3 L_β; see `rmtfl.weights.deformed.frame.Trained`."""

    def __init__(
        self,
        setup: Setup,
        stats: Statistics,
        accuracy: Accuracy,
        second: tuple[Array, Array],
        samples: Samples,
        direction: tuple[float, float],
    ) -> None:
        width = int(setup.sizes.width)
        steps = tuple(setup.training.step_size(t, width) for t in range(2))
        a, rows = second
        self.stats, self.phi, self.dimension = stats, stats.phi, setup.sizes.dimension
        self.rows = stats.psi * rows
        self.direction = direction
        self.y = samples.y
        shift = steps[0] * a
        self.powers = np.array([np.ones_like(a), shift, shift**2])
        each = samples.g.shape[1]
        y = np.repeat(samples.y, each)
        weight = samples.weight.ravel()
        square = float(weight @ y**2)
        # What a sample itself puts into b is φ y on it: on average all of y ‖b^⊥‖²/E y².
        excess = (direction[1] ** 2 - stats.phi * stats.m2) / square
        along = (direction[0] * samples.z + direction[1] * samples.g).ravel() + excess * y
        cut = bool(setup.network.activation.kinks)
        at = slopes.grid(a, cut=cut)

        def separated(values: Array, cutoff: float, rank: int) -> slopes.Separated:
            return slopes.separate(values, at, a, cutoff, rank, cut=cut)

        update = _update(setup, stats, steps, at, second, along, y, cut)
        alpha = separated(update.on_first, accuracy.cutoff, accuracy.rank)
        beta = separated(update.on_second, accuracy.cutoff, accuracy.rank)
        mean = separated(update.mean, CUTOFF, RANK)
        self.noise = separated(update.noise, CUTOFF, RANK)
        self.crossed = separated(update.crossed, CUTOFF, RANK)
        self.e = np.column_stack([np.ones_like(a), alpha.left])
        self.f = beta.left
        self.coefficients = np.column_stack([np.zeros_like(a), mean.left])
        E, F = self.e.shape[1], self.f.shape[1]
        self.size = 1 + 2 * E + 3 * F
        self.dual_e, self.dual_f, self.row_e, self.row_f, self.square = np.split(
            np.arange(1, self.size), np.cumsum([E, F, E, F])
        )
        self.border = np.zeros((samples.y.size, each, self.size))
        self.border[:, :, self.dual_e[1:]] = alpha.right.T.reshape(samples.y.size, each, -1)
        self.border[:, :, self.dual_f] = beta.right.T.reshape(samples.y.size, each, -1)
        # A sample's own part in b is added to its coordinate along b^⊥.
        t = np.column_stack([samples.z.ravel(), samples.g.ravel() + y * direction[1] / square])
        scaled = y / math.sqrt(square)
        second_moments = t[:, :, None] * t[:, None, :]
        self.batches = (Batch(np.arange(self.size), weight, second_moments, t * scaled[:, None], scaled**2),)
        self.curves: Curves | None = Curves(0, mean.right, t, scaled)
        self.output: Output | None = None
        if setup.training.loss == "squared":
            slope = separated(steps[1] * at[:, None] * update.output.slope, accuracy.cutoff, accuracy.rank)
            on_first, on_second = (
                slopes.separate(values, at, at, accuracy.cutoff, accuracy.rank).left
                for values in (update.on_first, update.on_second)
            )
            self.output = ReusedOutput(
                stats=stats,
                coefficients=slope.left,
                layer=a,
                values=slope.right,
                y=y,
                weight=weight,
                at=at,
                cut=cut,
                shift=steps[0] * at,
                e=np.column_stack([np.ones_like(at), on_first]),
                f=on_second,
                blocks=(self.row_e, self.row_f, self.square),
                fluctuation=update.output,
            )

    def assemble(self, load: Matrix) -> tuple[Matrix, tuple[Bordered, ...]]:
        """C and the T of the batch at load = rows/(1 + δ)."""
        stats, e, f = self.stats, self.e, self.f
        loads = [load * power for power in self.powers]
        C = np.zeros((self.size, self.size), dtype=load.dtype)
        C[0, self.dual_e[0]] = C[self.dual_e[0], 0] = 1
        for dual, row in ((self.dual_e, self.row_e), (self.dual_f, self.row_f)):
            C[dual, row] = C[row, dual] = -1
        C[np.ix_(self.row_e, self.row_e)] = (e.T * loads[0]) @ e
        C[np.ix_(self.row_e, self.row_f)] = (e.T * loads[0]) @ f
        C[np.ix_(self.row_f, self.row_e)] = (f.T * loads[0]) @ e
        C[np.ix_(self.row_f, self.row_f)] = (f.T * loads[0]) @ f
        C[self.square, self.square] = -1
        E, F = e.shape[1], f.shape[1]
        part = np.concatenate([self.row_e, self.row_f, self.square])
        y = self.y[:, None, None]
        Y = np.zeros((self.y.size, part.size, part.size), dtype=load.dtype)
        ee, ff, qq = slice(0, E), slice(E, E + F), slice(E + F, E + 2 * F)
        cross = stats.mu2 * (e.T * loads[1]) @ f
        Y[:, ee, ff], Y[:, ff, ee] = y * cross, y * cross.T
        squared = (f.T * loads[2]) @ f
        rest = max(stats.v1 - stats.mu2**2, 0.0)
        Y[:, ff, ff] = y * (2 * stats.mu2 * (f.T * loads[1]) @ f) + y**2 * (rest * self.phi * squared)
        Y[:, ff, qq] = y * (stats.mu2**2 * squared)
        Y[:, qq, ff] = y * np.eye(F)
        border = self.border.astype(load.dtype)
        mixed = self.phi * (self.f.T * load) @ self.crossed.left  # (F, r)
        border[:, :, self.row_f] = (mixed @ self.crossed.right).T.reshape(*self.border.shape[:2], F)
        corner = self.phi * ((load @ self.noise.left) @ self.noise.right).reshape(self.border.shape[:2])
        return C, (Bordered(part, Y, border, corner),)

    def delta(self, G: Matrix, seen: tuple[BorderedTransfer, ...]) -> Matrix:
        """δ(a) = (1/d) tr S(a) Q."""
        (batch,), mu2, e, f = seen, self.stats.mu2, self.e, self.f
        label = np.repeat(self.y, self.border.shape[1])
        once, twice = batch.seen_mean(label), batch.seen_mean(label**2)
        rest = max(self.stats.v1 - mu2**2, 0.0)

        def block(matrix: Matrix, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Matrix:
            return matrix[np.ix_(rows, columns)]

        def form(left: Array, matrix: Matrix, right: Array) -> Matrix:
            return np.asarray(np.sum((left @ matrix) * right, axis=1))

        _, shift, squared = self.powers
        ef = block(G, self.row_e, self.row_f) + block(G, self.row_f, self.row_e).T
        total = (
            form(e, block(G, self.row_e, self.row_e), e) + form(f, block(G, self.row_f, self.row_f), f) + form(e, ef, f)
        )
        ef = block(once, self.row_e, self.row_f) + block(once, self.row_f, self.row_e).T
        total = total + mu2 * shift * (form(e, ef, f) + 2 * form(f, block(once, self.row_f, self.row_f), f))
        ff = mu2**2 * block(once, self.square, self.row_f) + rest * self.phi * block(twice, self.row_f, self.row_f)
        total = total + squared * form(f, ff, f)
        corner = self.noise.right @ (self.batches[0].weight * batch.seen_corner)
        columns = batch.seen_column(self.crossed.right)[:, self.row_f]  # (r, F)
        total = total + self.phi * (self.noise.left @ corner + 2 * form(self.crossed.left, columns, f))
        return np.asarray(total)


@dataclass(frozen=True)
class _Update:
    """Θ₀, α, β, E ε² and C of both updates, each of shape (len(at), n), and what the output has of them."""

    mean: Array
    on_first: Array
    on_second: Array
    noise: Array
    crossed: Array
    output: Fluctuation


def _update(
    setup: Setup,
    stats: Statistics,
    steps: tuple[float, ...],
    at: Array,
    second: tuple[Array, Array],
    G: Array,
    y: Array,
    cut: bool,
) -> _Update:
    a, weight = second
    S, phi = steps[0] * at[:, None], stats.phi
    rest = max(stats.v1 - stats.mu2**2, 0.0)
    found = neuron.moments(setup.network.activation, stats, steps[0] * at, G, y)
    residual = y
    if setup.training.loss == "squared":
        residual = y - (weight * a) @ slopes.interpolate(found.value, at, a, cut=cut)
    q = steps[1] * at[:, None] * residual
    kappa, tau = 1 + S * stats.c0 * stats.mu2, (S * stats.specific) ** 2
    mean, along, on_second = S * y * stats.mu1 + q * found.mean, S * y * stats.mu2 + q * found.along, q * found.across
    second_moment = (S * y) ** 2 * (stats.v1 + stats.mu1**2) + 2 * S * y * q * found.repeated + q**2 * found.square
    unexplained = second_moment - mean**2 - along**2 - tau * on_second**2
    with_rest = S * y * rest + q * (found.repeated - stats.mu1 * found.mean - stats.mu2 * found.along)
    own = S * phi * y * on_second
    # The same of σ(h⁽¹⁾) in place of the update, and what both have in common.
    value_rest = found.value_repeated - stats.mu1 * found.value - stats.mu2 * found.value_along
    value_own = S * phi * y * found.mean
    variance = found.value_square - found.value**2 - found.value_along**2 - tau * found.mean**2
    common = S * y * (found.value_repeated - stats.mu1 * found.value)
    common += q * (found.value_slope - found.mean * found.value)
    common -= along * found.value_along + tau * on_second * found.mean
    crossed = S * y * (with_rest - own * rest)
    output = Fluctuation(
        on_first=found.value_along - found.mean * (kappa + S * phi * stats.mu2 * y),
        slope=found.mean,
        crossed=S * y * (value_rest - value_own * rest),
        noise=variance - 2 * value_own * value_rest + value_own**2 * rest,
        shared=common - value_own * with_rest - own * value_rest + own * value_own * rest,
        update_crossed=crossed,
    )
    return _Update(
        mean=mean,
        on_first=along - on_second * (kappa + S * phi * stats.mu2 * y),
        on_second=on_second,
        noise=unexplained - 2 * own * with_rest + own**2 * rest,
        crossed=crossed,
        output=output,
    )


def samples(setup: Setup, accuracy: Accuracy) -> Samples:
    """The n quantiles of z, some of the noise to each, and up to `accuracy.each` of g to each of these.

    Of a batch that is given: its samples, one to a label.
    """
    if setup.data.batch is not None:
        return _given(setup.data.batch)
    u, weight = nodes.ranks(setup.sizes.samples, accuracy.growth)
    z, noise = nodes.gaussian(u), float(setup.data.noise)
    z /= np.sqrt(weight @ z**2)
    if noise:
        copies = np.where(weight * setup.sizes.samples > 1.5, NOISES, 1)  # what is merged is taken apart again
        z, weight = np.repeat(z, copies), np.repeat(weight / copies, copies)
    y = setup.data.target.numpy()(z)
    if noise:
        # Not orthogonal to the clean labels and to z, the noise would change E y² and E yz at first order.
        known = np.column_stack([np.ones_like(z), z, y]) * np.sqrt(weight)[:, None]
        epsilon = nodes.gaussian(_ranks(weight, PLASTIC)) * np.sqrt(weight)
        epsilon = (epsilon - known @ np.linalg.lstsq(known, epsilon)[0]) / np.sqrt(weight)
        y = y + noise / np.sqrt(weight @ epsilon**2) * epsilon
    half = max(1, accuracy.each // (4 if noise else 2))  # with noise there are more labels to spread g over
    # With both signs of g: the rank u of |g| is the rank (1 + u)/2 of g.
    positive = nodes.gaussian((1 + _ranks(np.repeat(weight / half, half), GOLDEN)) / 2).reshape(-1, half)
    g = np.concatenate([positive, -positive], axis=1)
    each = np.repeat(weight[:, None] / (2 * half), 2 * half, axis=1)
    g /= np.sqrt(np.sum(each * g**2))
    return Samples(y, np.repeat(z[:, None], 2 * half, axis=1), g, each)


def _given(batches: GivenBatches) -> Samples:
    z, g, y = own.coordinates(batches, 0)
    # Of Xb^⊥ the part along y is a sample's own.
    rest = g - y * (g @ y) / (y @ y)
    return Samples(y, z[:, None], rest[:, None], np.full((y.size, 1), 1 / y.size))


def _ranks(weight: Array, step: float) -> Array:
    """Ranks in (0, 1) of nodes of given weights, in the order of a Kronecker lattice."""
    order = np.argsort((np.arange(weight.size) * step + 0.25) % 1.0)
    result = np.empty(weight.size)
    result[order] = np.cumsum(weight[order]) - weight[order] / 2
    return result


def build(setup: Setup, stats: Statistics, accuracy: Accuracy = FINE) -> Reused:
    """The pencil at the setup's width."""
    second = nodes.second_layer(setup.network.second_layer, int(setup.sizes.width), accuracy.growth)
    return Reused(setup, stats, accuracy, second, samples(setup, accuracy), own.direction(setup, stats))
