"""Fourth moments of a kernel's eigenfunctions, and what they do to a sample's eigenvectors.

The sampled functions ê = (e(x_1), …, e(x_n))/√n are orthonormal only in the mean: their Gram matrix differs from the
identity by Δ with n Cov(Δ_kl, Δ_mp) = E e_k e_l e_m e_p − E e_k e_l · E e_m e_p. To second order in Δ the simple
eigenvalue λ_1 of a kernel matrix over n moves by Σ_k λ_1 λ_k/(λ_1 − λ_k) · E e_1² e_k²/n and loses
Σ_k (λ_k/(λ_1 − λ_k))² · E e_1² e_k²/n of its eigenvector's overlap with ê_1. The generalized Marchenko–Pastur law has
E e_1² e_k² = 1, which holds for independent functions; here they are computed. Simple eigenvalues that lie close
exchange more than that: `Fluctuations.exchange` follows every pair, `harmonic_overlaps` the whole small matrix.

Derived as `spiked-samples.eigenvectors` in theory/spiked-samples.md, checked against sampled matrices in tests/kernel.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import hadamard

from rmtfl.kernel.mercer import Mercer
from rmtfl.kernel.nodes import Nodes
from rmtfl.kernel.spectrum import zonal_harmonics

Array = NDArray[np.float64]

NODES = 16  # of a quadrature over each entry of a pair's Gram matrix
RANK = 1e-9  # of singular values
APART = 0.98  # share of its overlap that the others leave one beyond which second differences do
SIMPLE = 8  # simple eigenvalues whose exchange of eigenvectors is followed


def _normal() -> tuple[Array, Array]:
    """A rule for three independent normal variables: points (3, NODES³), weights of sum one."""
    x, w = np.polynomial.hermite_e.hermegauss(NODES)
    points = np.stack(np.meshgrid(x, x, x, indexing="ij")).reshape(3, -1)
    return points, np.einsum("i,j,k->ijk", w, w, w).ravel() / w.sum() ** 3


_NORMAL, _WEIGHTS = _normal()


@dataclass(frozen=True)
class Fluctuations:
    """Joint moments of a population's eigenfunctions under the law of its inputs.

    Attributes:
        population: the Mercer spectrum, with its eigenfunctions.
    """

    population: Mercer

    @cached_property
    def nodes(self) -> Nodes:
        """Where the moments are taken."""
        return self.population.nodes

    def joint(self, index: int) -> Array:
        """E e² g² for every eigenvalue of the population, shape (P,): 1 for independent functions.

        Args:
            index: of e in the population. A block's harmonics are averaged, which leaves its radial and axial part g.
        """
        weighted = self.nodes.weights * self.nodes.functions[index] ** 2
        return np.asarray(self.nodes.functions**2 @ weighted)

    def exchange(self, index: int, samples: int) -> tuple[float, float]:
        """How far the other simple eigenvalues move one, in the mean, and what share of its overlap they leave.

        Of each pair, the means over a Gaussian Δ: to second order in Δ those of perturbation theory, and bounded where
        the two meet.

        Args:
            index: of the eigenvalue in the population.
            samples: n.
        """
        population = self.population
        others = np.flatnonzero((population.simple >= 0) & (np.arange(population.eigenvalues.size) != index))
        pairs = [self._pair(index, int(other), samples) for other in others]
        return sum(moved for moved, _ in pairs), float(np.prod([left for _, left in pairs]))

    def _pair(self, index: int, other: int, samples: int) -> tuple[float, float]:
        eigenvalues, nodes = self.population.eigenvalues, self.nodes
        (here, there), (e, g) = eigenvalues[[index, other]], nodes.functions[[index, other]]
        products = np.array([e * e, g * g, e * g])
        covariance = (products * nodes.weights) @ products.T
        if nodes.parities[index] != nodes.parities[other]:
            covariance[2, :2] = covariance[:2, 2] = 0.0
        covariance[:2, :2] -= 1.0
        values, vectors = np.linalg.eigh(covariance / samples)
        delta = (vectors * np.sqrt(np.maximum(values, 0.0))) @ _NORMAL
        p, q = here * (1 + delta[0]), there * (1 + delta[1])
        half, upper = (p - q) / 2, 1.0 if here >= there else -1.0
        root = np.sqrt(half**2 + here * there * delta[2] ** 2)
        # Gaussian lengths may be negative; with few samples alone do they matter.
        with np.errstate(divide="ignore", invalid="ignore"):
            cosine = ((p + q) / 2 + upper * root) * (1 + upper * half / root) / (2 * p)
        cosine = np.clip(np.where(p > 0, np.nan_to_num(cosine, nan=1.0), 0.0), 0.0, 1.0)
        return float(upper * (_WEIGHTS @ root - abs(here - there) / 2)), float(_WEIGHTS @ cosine)

    def harmonic_overlaps(self, mode: int, count: int, samples: int) -> Array:
        """Expected squared cosines of a simple eigenvector with the sampled harmonics Y_0, …, bulks apart: (count,).

        The squared cosine is a function of the Gram matrix of the first simple eigenfunctions and the harmonics. It is
        averaged over Gram matrices on changed weights of the nodes, exp(± h) with h by the signs of a Hadamard matrix,
        which have the mean of sampled ones and, up to O(1/n²), their covariance: right to second order, and a squared
        cosine where eigenvalues meet. Of one that stands apart it is F + Σ_j (F(+v_j) + F(−v_j) − 2 F)/2 over changes,
        which misses nothing of what few samples decide.

        Args:
            mode: index in the block of degree 0.
            count: of harmonics.
            samples: n.
        """
        population, nodes = self.population, self.nodes
        simple = np.flatnonzero(population.simple >= 0)[: max(SIMPLE, mode + 1)]
        harmonics = nodes.with_radius(zonal_harmonics(nodes.spectrum.grid.line, count)[:, None, :], factor=False)
        half = np.concatenate([nodes.functions[simple], harmonics])
        parities = np.concatenate([nodes.parities[simple], (-1.0) ** np.arange(count)])
        functions = np.concatenate([half, parities[:, None] * half], axis=1)
        weights = np.tile(nodes.weights / 2, 2)
        upper = np.triu_indices(len(functions))
        products = functions[upper[0]] * functions[upper[1]]
        # The right singular vectors of the centred products are the changes of weight that move a Gram matrix.
        _, singular, right = np.linalg.svd((products - (products @ weights)[:, None]) * np.sqrt(weights), False)
        right = right[singular > RANK * singular[0]]
        moves = right / np.sqrt(samples * weights)
        if self.exchange(int(simple[mode]), samples)[1] > APART:
            changed = np.concatenate([np.ones((1, weights.size)), 1 + moves, 1 - moves])
            share = np.concatenate([[1.0 - len(moves)], np.full(2 * len(moves), 0.5)])
        else:
            moves = hadamard(1 << (len(moves) - 1).bit_length())[: len(moves)].T @ moves
            # Lognormal weights of the same variance: none is negative, of nodes that less than one sample meets too.
            size = np.sqrt(np.maximum(np.mean(moves**2, axis=0), np.finfo(float).tiny))
            moves *= np.sqrt(np.log1p(size**2)) / size
            changed = np.exp(np.concatenate([moves, -moves]))
            changed /= changed.mean(axis=0)
            share = np.full(len(changed), 1 / len(changed))
        scaled = changed[:, None, :] * (weights * functions)
        gram = scaled @ functions.T
        return np.asarray(share @ _cosines(gram, population.eigenvalues[simple], mode))


def _cosines(gram: Array, eigenvalues: Array, mode: int) -> Array:
    """Squared cosines of an eigenvector of Σ λ ê ê^T with further functions, from all their Gram matrices: (…, count).

    Args:
        gram: (…, K + count, K + count).
        eigenvalues: (K,) λ, descending.
        mode: which eigenvector, by rank.
    """
    k, root = eigenvalues.size, np.sqrt(eigenvalues)
    inner = root[:, None] * gram[..., :k, :k] * root
    values, vectors = np.linalg.eigh(inner)
    coefficients = root * vectors[..., k - 1 - mode]  # of the sampled functions, squared length the eigenvalue
    overlap = np.einsum("...k,...ky->...y", coefficients, gram[..., :k, k:])
    lengths = np.einsum("...yy->...y", gram[..., k:, k:])
    return np.asarray(overlap**2 / (values[..., k - 1 - mode, None] * lengths))
