"""The equation of a kernel matrix's bulks: samples whose functions differ in size, and sizes that differ by block.

A block of degree ℓ has functions √λ_m g_m(z) Y_j(ω), m = 1, 2, …, j = 1, …, mult. With v_ℓ(z) = (√λ_m g_m(z))_m the
diagonal q(z) of the resolvent (K/n − w)^{−1}, at a sample with first coordinate z, solves

    1/q(z) = rest(z)/n − w + Σ_ℓ (mult_ℓ/n) v_ℓ(z)^T G_ℓ v_ℓ(z),   G_ℓ = (1 + E_z q v_ℓ v_ℓ^T)^{−1},

which is the equation of `rmtfl.laws.diagonal` with K(z, z') = Σ (mult/n) (v^T G v')² times the weight of z'. One
constant v gives Marchenko and Pastur's. As q is even in z, even and odd v do not meet. Derived as
`spiked-samples.bulks` in theory/spiked-samples.md, checked in tests/kernel/test_bulk.py against the generalized
Marchenko–Pastur law, a block variance profile, moments and sampled matrices.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from rmtfl.kernel.mercer import Mercer
from rmtfl.kernel.nodes import Nodes
from rmtfl.laws.diagonal import EPS, Complexes, DiagonalEquation, Terms

Array = NDArray[np.float64]

TAIL = 0.01  # expected number of the n samples beyond the nodes kept: what no sample meets makes no edge
RARE = 1e-9  # share of the samples beyond, whatever n
LOST = 0.5  # mean square of a function on the nodes kept below which it is not made up for
TOGETHER = 2**21  # numbers that one pass over points may hold


@dataclass(frozen=True, eq=False)
class BulkEquation(DiagonalEquation):
    """The equation on finitely many z, the classes.

    Attributes:
        weights: (K,) of the classes, of sum one.
        rest: (K,) what every sample has for itself, rest(z)/n.
        shares: (G,) mult/n of each group of functions, a block's even or odd ones.
        functions: (G, M, K) v, filled up with zeros.
        simple: (S, K) √λ e of the simple eigenvalues, those of degree 0, which the equation leaves out.
        parities: (S,) of these.
        lumped: the largest that an eigenvalue that rest stands for can be.
    """

    weights: Array
    rest: Array
    shares: Array
    functions: Array
    simple: Array
    parities: Array
    lumped: float

    @property
    def size(self) -> int:
        """K."""
        return self.weights.size

    @cached_property
    def bound(self) -> float:
        """A bound on the support: the sum of one for each group, of rows scaled by |v(z)|."""
        largest = np.sum(self.functions**2, axis=1).max(axis=1)
        ranks = np.sum(np.any(self.functions != 0, axis=2), axis=1)
        return float(self.rest.max() + np.sum((1 + np.sqrt(self.shares * ranks)) ** 2 * largest))

    def terms(self, z: Complexes, m: Complexes) -> Terms:
        """Return the equation's parts at z, shape (points,), and m, shape (points, classes)."""
        step = max(1, TOGETHER // (self.shares.size * self.size**2))
        parts = [self._terms(z[k : k + step], m[k : k + step]) for k in range(0, len(z), step)]
        return Terms(*(np.concatenate(part) for part in zip(*parts, strict=True)))

    def _terms(self, z: Complexes, m: Complexes) -> tuple[Complexes, NDArray[np.float64], Complexes]:
        v, mass = self.functions, m * self.weights
        solved = np.linalg.solve(self._inner(mass), np.broadcast_to(v, (len(z), *v.shape)))
        pairs = v.swapaxes(1, 2) @ solved
        pull = self.rest + np.einsum("g,pgkk->pk", self.shares, pairs)
        kernel = np.einsum("g,pgkl->pkl", self.shares, pairs**2)
        residual = 1 + m * (z[:, None] - pull)
        # G is off by the roundings of 1 + E q v v^T.
        size = np.abs(solved)
        spread = np.sum(size * (self._inner(np.abs(mass), np.abs(v)) @ size), axis=2)
        noise = EPS * (1 + np.abs(m) * (np.abs(z)[:, None] + self.rest + np.einsum("g,pgk->pk", self.shares, spread)))
        return residual, noise, m[:, :, None] * kernel * mass[:, None, :]

    def _inner(self, mass: Complexes, v: Array | None = None) -> Complexes:
        """1 + E q v v^T, shape (points, G, M, M)."""
        v = self.functions if v is None else v
        return np.asarray(np.eye(v.shape[1]) + (v * mass[:, None, None, :]) @ v.swapaxes(1, 2))

    def second(self, m: Array, along: Array) -> Array:
        """Second derivatives of the right side, at real m along dm, both of shape (points, classes)."""
        v = self.functions
        solved = np.linalg.solve(self._inner(m * self.weights), np.broadcast_to(v, (len(m), *v.shape)))
        inner = (v * (along * self.weights)[:, None, None, :]) @ v.swapaxes(1, 2)
        moved = inner @ solved
        again = np.linalg.solve(self._inner(m * self.weights), moved)
        return np.asarray(2 * np.einsum("g,pgk->pk", self.shares, np.sum(moved * again, axis=2)))

    def below(self, z: Complexes, m: Complexes) -> Array:
        """Return the distribution function at z, on the axis or above it, where a ray from 0 sees its angle.

        With L = ∫ log(t − z) dμ = −E log q − E (z − rest/n) q + Σ (mult/n) log det G^{−1} − 1, stationary in q, it is
        −Im L/π.
        """
        turned = (np.angle(m) + np.imag((z[:, None] - self.rest) * m)) @ self.weights
        left, angles = self._inner(m * self.weights), np.zeros((len(z), self.shares.size))
        # With a positive imaginary part the pivots of every order lie in C⁺, and no eigenvalue is needed.
        for _ in range(left.shape[2]):
            pivot = left[:, :, :1, :1]
            angles += np.angle(pivot[:, :, 0, 0])
            left = left[:, :, 1:, 1:] - left[:, :, 1:, :1] * left[:, :, :1, 1:] / pivot
        return np.asarray((turned - angles @ self.shares) / np.pi)

    def share_above(self, m: Array) -> Array:
        """Return the share of eigenvalues above points off the support, by the signs of real m there."""
        negative = np.sum(np.linalg.eigvalsh(self._inner(m * self.weights)) < 0, axis=2)
        above: Array = np.where(m > 0, self.weights, 0.0).sum(axis=1) + negative @ self.shares
        return above

    def simple_matrix(self, m: Array) -> Array:
        """1 + E q v v^T of the simple eigenvalues at real m, shape (points, S, S): as many negative as lie above."""
        v, same = self.simple, np.equal.outer(self.parities, self.parities)
        return np.asarray(np.eye(len(v)) + same * ((v * (m * self.weights)[:, None, :]) @ v.T))


def bulk_equation(population: Mercer, nodes: Nodes, samples: int) -> BulkEquation:
    """The equation of the blocks of degree ≥ 1, of which there may be none.

    Args:
        population: the Mercer spectrum.
        nodes: its own or its coarser ones.
        samples: n.
    """
    order = np.argsort(-nodes.weights, kind="stable")
    beyond = 1 - np.cumsum(nodes.weights[order])
    kept = np.sort(order[: 1 + int(np.sum(beyond > max(TAIL / samples, RARE)))])
    weights = nodes.weights[kept] / nodes.weights[kept].sum()
    resolved = (population.multiplicities * nodes.eigenvalues) @ nodes.functions[:, kept] ** 2
    rest = np.maximum(nodes.diagonal[kept] - resolved, 0.0) / samples if population.rest > 0 else np.zeros(kept.size)
    v = np.sqrt(np.maximum(nodes.eigenvalues, 0.0))[:, None] * nodes.functions[:, kept]
    groups = [
        (population.multiplicities[found[0]] / samples, v[found])
        for degree in np.unique(population.degrees[population.degrees > 0])
        for parity in (1, -1)
        if (found := np.flatnonzero((population.degrees == degree) & (nodes.parities == parity))).size
    ]
    functions = np.zeros((len(groups), max((len(part) for _, part in groups), default=0), kept.size))
    for k, (_, part) in enumerate(groups):
        functions[k, : len(part)] = part
    shares = np.array([share for share, _ in groups])
    simple = population.simple >= 0
    # What is left out of the law of z is not to weaken a simple eigenvalue.
    within = nodes.functions[simple][:, kept] ** 2 @ weights
    e = v[simple] / np.sqrt(np.maximum(within, LOST))[:, None]
    return BulkEquation(weights, rest, shares, functions, e, nodes.parities[simple], population.lumped)
