"""Fourth moments of a kernel's eigenfunctions, and what they do to a sample's eigenvectors.

The sampled functions ê = (e(x_1), …, e(x_n))/√n are orthonormal only in the mean: their Gram matrix differs from the
identity by Δ with n Cov(Δ_kl, Δ_mp) = E e_k e_l e_m e_p − E e_k e_l · E e_m e_p. To second order in Δ the simple
eigenvalue λ_1 of a kernel matrix over n moves by Σ_k λ_1 λ_k/(λ_1 − λ_k) · E e_1² e_k²/n and loses
Σ_k (λ_k/(λ_1 − λ_k))² · E e_1² e_k²/n of its eigenvector's overlap with ê_1. The generalized Marchenko–Pastur law has
E e_1² e_k² = 1, which holds for independent functions; here they are computed. Simple eigenvalues that lie close
exchange eigenvectors at once, which needs the whole small matrix: see `harmonic_overlaps`.

Derived as `spiked-samples.eigenvectors` in theory/spiked-samples.md, checked against sampled matrices in tests/kernel.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from rmtfl.kernel.mercer import Mercer
from rmtfl.kernel.nodes import Nodes
from rmtfl.kernel.spectrum import zonal_harmonics

Array = NDArray[np.float64]

SIMPLE = 8  # simple eigenvalues whose exchange of eigenvectors is followed


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

    def harmonic_overlaps(self, mode: int, count: int, samples: int) -> Array:
        """Expected squared cosines of a simple eigenvector with the sampled harmonics Y_0, …, bulks apart: (count,).

        The squared cosine is a function F of the Gram matrix of the first simple eigenfunctions and the harmonics;
        E F = F + Σ_j (F(+v_j) + F(−v_j) − 2 F)/2 over the columns v_j of a root of its covariance, which is exact to
        second order and bounded where eigenvalues nearly meet.

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
        size = len(functions)
        upper = np.triu_indices(size)
        products = functions[upper[0]] * functions[upper[1]]
        means = products @ weights
        centred = (products - means[:, None]) * np.sqrt(weights)
        # The left singular vectors of the centred products are those of the covariance, and well conditioned.
        left, singular, _ = np.linalg.svd(centred / np.sqrt(samples), full_matrices=False)
        steps = left * singular
        points = np.concatenate([means[:, None], means[:, None] + steps, means[:, None] - steps], axis=1).T
        gram = np.zeros((len(points), size, size))
        gram[:, upper[0], upper[1]] = gram[:, upper[1], upper[0]] = points
        cosines = _cosines(gram, population.eigenvalues[simple], mode)
        moves = steps.shape[1]
        return np.asarray((1 - moves) * cosines[0] + cosines[1:].sum(axis=0) / 2)


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
