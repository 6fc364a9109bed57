"""The largest singular values of a matrix and their right singular vectors.

Golub–Kahan–Lanczos bidiagonalisation: A v_j = β_{j−1} u_{j−1} + α_j u_j and A^T u_j = α_j v_j + β_j v_{j+1}, so that
the singular values of the bidiagonal (α, β) approach those of A from its largest ones on. It works on A itself, never
on A^T A, and so keeps small values beside large ones to rounding of the largest. The v_j are kept orthogonal to working
precision; then the u_j need not be (Simon & Zha, SIAM J. Sci. Comput. 21, 2257 (2000)) and are not stored.

A value is accepted on its residual ‖A^T u − s v‖ with u = A v / s, computed from the final vectors: some singular value
lies within the residual of s. Where the iteration does not get there, the full decomposition is taken instead.
"""

from __future__ import annotations

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

Array = NDArray[np.float64]

TOLERANCE = 1e-10  # of the residual, relative to its singular value
ROUNDING = 1e-14  # of the residual, relative to the largest value: 45 units of rounding, seen up to 15 in tests
SMALL = 150  # below this smaller side the full decomposition is as fast
MOST_STEPS = 1000  # eight values at the edge of a bulk took 160 at N = 2000, and about N^{1/3} beyond


def top_singular(matrix: Array, count: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """The `count` largest singular values and their right singular vectors.

    Args:
        matrix: (N, d) array, finite.
        count: how many, at most min(N, d).
        rng: draws the starting vector.

    Returns:
        values: (count,) descending.
        vectors: (count, d), orthonormal rows.
    """
    if min(matrix.shape) > SMALL:
        found = _lanczos(matrix, count, rng)
        if found is not None:
            return found
    _, values, vectors = scipy.linalg.svd(matrix, full_matrices=False, check_finite=False)
    return values[:count], np.ascontiguousarray(vectors[:count])


def all_singular(matrix: Array) -> Array:
    """All min(N, d) singular values, descending. The matrix is overwritten."""
    # Transposed, a row-major array is in the order LAPACK works in, and is not copied.
    values: Array = scipy.linalg.svdvals(matrix.T, overwrite_a=True, check_finite=False)
    return values


def _lanczos(matrix: Array, count: int, rng: np.random.Generator) -> tuple[Array, Array] | None:
    steps = min(MOST_STEPS, *matrix.shape)
    basis = np.empty((min(steps, 2 * SMALL) + 1, matrix.shape[1]))
    diagonal, upper = np.zeros(steps), np.zeros(steps)
    basis[0] = rng.standard_normal(matrix.shape[1])
    basis[0] /= np.linalg.norm(basis[0])
    left = np.zeros(matrix.shape[0])
    next_look = 5 * count
    for j in range(steps):
        left *= -upper[j - 1]
        left += matrix @ basis[j]
        diagonal[j] = np.linalg.norm(left)
        if diagonal[j] <= ROUNDING * diagonal[:j].max(initial=0):  # the basis spans an invariant space
            return None
        left /= diagonal[j]
        right = left @ matrix
        right -= diagonal[j] * basis[j]
        for _ in range(2):  # twice is enough
            right -= (basis[: j + 1] @ right) @ basis[: j + 1]
        upper[j] = np.linalg.norm(right)
        if upper[j] <= ROUNDING * diagonal[: j + 1].max():
            return None
        if j + 1 == next_look:
            found = _ritz(matrix, basis[: j + 1], diagonal[: j + 1], upper[: j + 1], count)
            if found is not None:
                return found
            next_look += 20
        if j + 1 == len(basis):
            basis = np.concatenate([basis, np.empty_like(basis)])
        basis[j + 1] = right / upper[j]
    return None


def _ritz(matrix: Array, basis: Array, diagonal: Array, upper: Array, count: int) -> tuple[Array, Array] | None:
    """The values and vectors that the bidiagonal gives, or None while a residual is above the tolerance."""
    bidiagonal = np.diag(diagonal) + np.diag(upper[:-1], 1)
    left, values, right = scipy.linalg.svd(bidiagonal, check_finite=False)
    if np.any(upper[-1] * np.abs(left[-1, :count]) > TOLERANCE * values[:count]):
        return None
    image = matrix @ (right[:count] @ basis).T
    lefts, values, turn = scipy.linalg.svd(image, full_matrices=False, check_finite=False)
    vectors: Array = turn @ right[:count] @ basis
    residual = np.linalg.norm(lefts.T @ matrix - values[:, None] * vectors, axis=1)
    if np.any(residual > TOLERANCE * values + ROUNDING * values[0]):
        return None
    return values, vectors
