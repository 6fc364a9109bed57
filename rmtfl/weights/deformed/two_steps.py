"""Two steps on independent batches: the pencil of the weights after the second.

Given both batches and S = s₁ ā, the second step adds to a row w₁ of the first (`one_step`)

    s₂ ā [V(ā) + M_a w₁' + noise],   V(ā) = X₂^T (r E σ')/n,   M_a = X₂^T diag(r A(ā, G)) X₂/n,

with r = y - f₁(G) the residual, w₁' the row without its mean, h⁽¹⁾ = S μ₁ G + √τ t the preactivation on a sample of the
second batch, τ = (1 + S μ₂ c₀)² + S² φ m₂ v₁, A = E[t σ'(h⁽¹⁾)]/√τ and noise of the variance v₂ = Var σ' - τ A². The
covariance is (1 + s₂ā M_a) S₁(ā) (1 + s₂ā M_a) + s₂²ā² φ X₂^T diag(r² v₂) X₂/n. A is separated into L terms in ā and G
(`slopes`), which makes D = 1 + 3(L + 1) blocks: the identity and the L terms, times (2: the row of step one), (1: its
dual) and (3: the square of step one's matrix), next to block 0.

Approximate are the rank L and the nodes of the second batch, a lattice of 2000 points whatever n: outliers change by up
to 0.5 % from one lattice to another. f₁ is its mean given G; what it follows of the rows' noise is in
`output_independent`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from rmtfl.links import Link
from rmtfl.setup import Setup
from rmtfl.weights import conditional, second_layer
from rmtfl.weights.deformed import nodes, own, slopes
from rmtfl.weights.deformed.frame import Curves, Output
from rmtfl.weights.deformed.one_step import label_batch
from rmtfl.weights.deformed.output_independent import IndependentOutput
from rmtfl.weights.deformed.pencil import Batch
from rmtfl.weights.deformed.transfer import Dense, Matrix, product
from rmtfl.weights.statistics import Statistics

Array = NDArray[np.float64]

PAIRS = 1000  # of nodes ±g of the second batch; z, g and the noise are cut where the outermost of so many samples is
RESPONSE = 48  # nodes in ā of the mean network function f₁
VARIANCE_CUTOFF = 1e-6  # of the separation of v₂, which costs no blocks
SMALLEST = 1e-300  # in place of the square of what is constant
LARGEST_RANK = 12  # of everything that costs no blocks


@dataclass(frozen=True)
class Accuracy:
    """How finely the second step is resolved.

    Attributes:
        growth: of merged runs of quantiles, as in `nodes.ranks`.
        rank: the largest L.
        cutoff: terms of A below this part of the first are left out.
        offset: of the lattice.
    """

    growth: float
    rank: int
    cutoff: float
    offset: float


FINE = Accuracy(nodes.GROWTH, 4, 2e-3, 0.5)
OTHER = Accuracy(nodes.GROWTH, 3, 2e-3, 0.8)
COARSE = Accuracy(nodes.COARSE, 3, 1e-2, 0.25)


class Independent:
    """The pencil, D = 1 + 3(L + 1); see `rmtfl.weights.deformed.frame.Trained`."""

    def __init__(self, setup: Setup, stats: Statistics, accuracy: Accuracy) -> None:
        width = int(setup.sizes.width)
        first, second = (setup.training.step_size(t, width) for t in range(2))
        a, weight = nodes.second_layer(setup.network.second_layer, width, accuracy.growth)
        labels = nodes.labels(setup, setup.sizes.samples, accuracy.growth)
        self.stats, self.phi, self.dimension = stats, stats.phi, setup.sizes.dimension
        self.rest = max(stats.v1 - stats.mu2**2, 0.0)
        self.rows = stats.psi * weight
        self.direction = own.direction(setup, stats)
        shift = first * a
        self.powers = np.array([np.ones_like(a), shift, shift**2])
        self.y = labels.y
        z, g, y = lattice(setup, accuracy)
        G = self.direction[0] * z + self.direction[1] * g
        self.residual = y - _response(setup, stats, first, G)
        at = slopes.grid(a)
        found = _moments(setup.network.activation.derivative(), stats, first * at, G)
        linear = slopes.separate(found.linear, at, a, accuracy.cutoff, accuracy.rank)
        rest = slopes.separate(found.rest, at, a, VARIANCE_CUTOFF, LARGEST_RANK)
        mean = slopes.separate(found.mean, at, a, VARIANCE_CUTOFF, LARGEST_RANK)
        # e(a) = (1, s₂ a α_l(a)): the row is Σ_l e_l(a) (terms of M_a applied to the row of step one).
        self.terms = np.column_stack([np.ones_like(a), second * a[:, None] * linear.left])
        self.linear = linear.right
        self.variance = slopes.Separated((second * a[:, None]) ** 2 * rest.left, rest.right)
        self.coefficients = np.column_stack([stats.mu1 * shift, second * a[:, None] * mean.left])
        count = self.terms.shape[1]
        self.size = 1 + 3 * count
        self.dual, self.row, self.square = (1 + part * count + np.arange(count) for part in range(3))
        coordinates = np.column_stack([z, g])
        self.batches = (
            label_batch(labels, self.direction[1], np.concatenate([self.row, self.square])),
            Batch(
                np.concatenate([[0], self.dual]),
                np.full(z.size, 1 / z.size),
                coordinates[:, :, None] * coordinates[:, None, :],
            ),
        )
        self.output: Output | None = None
        if setup.training.loss == "squared":
            self.output = self._own_output(setup, at, a, (first, second), G, found, accuracy)
        self.curves: Curves | None = Curves(1, self.residual * mean.right, coordinates)

    def _own_output(
        self,
        setup: Setup,
        at: Array,
        a: Array,
        steps: tuple[float, float],
        G: Array,
        found: slopes.Moments,
        accuracy: Accuracy,
    ) -> IndependentOutput:
        """What the network's own output adds, with the moments of σ' at `at`."""
        values = _moments(setup.network.activation, self.stats, steps[0] * at, G)
        shared = slopes.covariance(setup.network.activation, *_preactivation(self.stats, steps[0] * at, G))
        second = steps[1] * at[:, None]
        slope = slopes.separate(second * found.mean, at, a, accuracy.cutoff, accuracy.rank)
        linear = slopes.separate(found.linear, at, at, accuracy.cutoff, accuracy.rank)
        return IndependentOutput(
            stats=self.stats,
            coefficients=slope.left,
            layer=a,
            values=slope.right,
            at=at,
            shift=steps[0] * at,
            terms=np.column_stack([np.ones_like(at), second * linear.left]),
            row=self.row,
            square=self.square,
            y=self.y,
            slope=found.mean,
            shared=second * self.residual * shared,
            noise=values.rest,
            batches=self.batches,
        )

    def assemble(self, load: Matrix) -> tuple[Matrix, tuple[Matrix, ...]]:
        """C and the T of both batches at load = rows/(1 + δ)."""
        stats, count = self.stats, self.row.size
        P0, P1, P2 = ((self.terms.T * (load * power)) @ self.terms for power in self.powers)
        C = np.zeros((self.size, self.size), dtype=load.dtype)
        C[0, self.dual[0]] = C[self.dual[0], 0] = 1
        C[self.dual, self.row] = C[self.row, self.dual] = -1
        C[np.ix_(self.row, self.row)] = P0
        C[self.square, self.square] = -1
        y = self.y[:, None, None]
        first = np.zeros((self.y.size, 2 * count, 2 * count), dtype=load.dtype)
        first[:, :count, :count] = 2 * stats.mu2 * y * P1 + self.rest * self.phi * y**2 * P2
        first[:, :count, count:] = stats.mu2**2 * y * P2
        first[:, count:, :count] = y * np.eye(count)
        second = np.zeros((self.residual.size, count + 1, count + 1), dtype=load.dtype)
        second[:, 0, 0] = (
            self.phi * self.residual**2 * product(self.variance.right.T, product(self.variance.left.T, load))
        )
        second[:, 0, 2:] = second[:, 2:, 0] = (self.residual * self.linear).T
        return C, (first, second)

    def delta(self, G: Matrix, seen: tuple[Dense, ...]) -> Matrix:
        """δ(a) = (1/d) tr S(a) Q."""
        (labelled, fresh), count = self.batches, self.row.size
        first, second = (batch.R for batch in seen)
        mu2, row = self.stats.mu2, first[:, :count, :count]
        square = self.rest * self.phi * labelled.mean(row, self.y**2)
        square = square + mu2**2 * labelled.mean(first[:, count:, :count], self.y)
        forms = (G[np.ix_(self.row, self.row)], 2 * mu2 * labelled.mean(row, self.y), square)
        noise = product(self.variance.right * (fresh.weight * self.residual**2), second[:, 0, 0])
        noise = self.phi * product(self.variance.left, noise)
        total = noise.astype(G.dtype)
        for power, form in zip(self.powers, forms, strict=True):
            total = total + power * np.einsum("ik,kl,il->i", self.terms, form, self.terms, optimize=True)
        return np.asarray(total)


def lattice(setup: Setup, accuracy: Accuracy) -> tuple[Array, Array, Array]:
    """(z, g, y) of a fresh batch: a lattice in the ranks of z, g and the noise, with both signs of g.

    z, g and the noise are the quantiles of their ranks, none further out than the outermost of n samples, of mean 0 and
    variance 1. Of a batch that is given: its samples.
    """
    if setup.data.batch is not None:
        return own.coordinates(setup.data.batch, 1)
    index, noise = np.arange(PAIRS), float(setup.data.noise)
    # A Kronecker lattice (golden ratio; its generalisation, the root of x³ = x + 1, where the noise is a third axis).
    steps = (0.7548776662466927, 0.5698402909980532) if noise else (0.6180339887498949,)
    extreme = 0.5 / min(setup.sizes.samples, PAIRS)
    axes = [(index + 0.5) / PAIRS, *((accuracy.offset + index * step) % 1.0 for step in steps)]
    ranks = (np.clip((np.argsort(np.argsort(u)) + 0.5) / PAIRS, extreme, 1 - extreme) for u in axes)
    z, g, *rest = ((x - x.mean()) / x.std() for x in map(ndtri, ranks))
    y = setup.data.target.numpy()(z)
    if noise:
        # Not orthogonal to the clean labels, the noise would change E y² at first order.
        clean = y - y.mean()
        epsilon = rest[0] - (rest[0] @ clean) / max(clean @ clean, SMALLEST) * clean
        y = y + noise * epsilon / epsilon.std()
    return np.tile(z, 2), np.concatenate([g, -g]), np.tile(y, 2)


def _response(setup: Setup, stats: Statistics, step: float, G: Array) -> Array:
    """f₁(G) = E_ā[ā E σ(h⁽¹⁾)], or 0 for the correlation loss."""
    if setup.training.loss == "correlation":
        return np.zeros(G.size)
    a, weight = second_layer.rule(setup.network.second_layer, RESPONSE)
    value, _ = conditional.independent(setup.network.activation, stats, step * a, G, slopes.LEVEL)
    return np.asarray((weight * a) @ value)


def _preactivation(stats: Statistics, shift: Array, G: Array) -> tuple[Array, Array]:
    """The mean of h⁽¹⁾ given S and G, of shape (len(shift), len(G)), and its standard deviation, of one column."""
    spread = np.hypot(1 + shift * stats.c0 * stats.mu2, shift * stats.specific)
    return np.multiply.outer(shift * stats.mu1, G), spread[:, None]


def _moments(link: Link, stats: Statistics, shift: Array, G: Array) -> slopes.Moments:
    """Moments of a link at h⁽¹⁾ given S and G, of shape (len(shift), len(G))."""
    return slopes.moments(link, *_preactivation(stats, shift, G))
