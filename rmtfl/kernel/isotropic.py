"""The spectrum without a spike, to full relative precision.

At B = 0 all rotations leave the kernel alone: the harmonics of degree m of the whole sphere S^{d−1} share the
eigenvalues of one radial kernel, A^m (ρρ')^m/(d (d + 2) …) E_{d+2m}[∂_c^m k], and each of them has one member in every
block ℓ ≤ m. Computed degree by degree, an eigenvalue of size d^{−m} keeps its digits, which those of the blocks, known
to rounding of the largest, lose; amplifications λ(B)/λ(0) rest on it.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from rmtfl.kernel.rules import radial_nodes, radius
from rmtfl.kernel.spectrum import EPSILON, SpikedKernel

Array = NDArray[np.float64]

VANISHING = 64 * EPSILON  # of the largest term: an eigenvalue below it is zero by symmetry, as relu's odd ones are


def isotropic_eigenvalues(kernel: SpikedKernel, degree: int, modes: int, refinement: float = 1.3) -> Array:
    """The largest eigenvalues of the block ℓ = degree at spike 0: (modes,), descending, zeros exact."""
    radial = kernel.radial_moment()
    if radial is None:
        rho, weights = radius(kernel.dimension, radial_nodes(kernel.dimension, refinement))
    else:
        rho, weights = np.ones(1), np.array([radial])
    blocks, root = kernel.blocks(refinement), np.sqrt(weights)
    across = math.sqrt(kernel.isotropic) * rho
    found: list[float] = []
    # Every other degree may vanish by symmetry: twice as many are looked at, and two more for crossings.
    for m in range(degree, degree + 2 * modes + 2):
        same, _ = blocks.pairs(m, kernel.dimension, np.zeros_like(rho), across)
        scale = kernel.variance(across**2).max() * math.exp(_log_share(m, kernel.dimension))
        values = np.linalg.eigvalsh(root[:, None] * same * root)
        found.extend(np.where(np.abs(values) > VANISHING * scale, values, 0.0))
    return np.array(sorted(found, reverse=True)[:modes])


def _log_share(degree: int, dimension: int) -> float:
    """The logarithm of 1/dim H_m(R^d), the most that each eigenvalue of a degree can have of the trace."""
    choices = math.lgamma(degree + dimension - 2) - math.lgamma(degree + 1) - math.lgamma(dimension - 1)
    return -choices - math.log(2 * degree + dimension - 2)
