"""The largest singular values of a matrix and their right singular vectors.

Golub–Kahan–Lanczos bidiagonalisation: A v_j = β_{j−1} u_{j−1} + α_j u_j and A^T u_j = α_j v_j + β_j v_{j+1}, so that
the singular values of the bidiagonal (α, β) approach those of A from its largest ones on. It works on A itself, never
on A^T A, and so keeps small values beside large ones to rounding of the largest. The v_j are kept orthogonal to working
precision; then the u_j need not be (Simon & Zha, SIAM J. Sci. Comput. 21, 2257 (2000)) and are not stored.

A value is accepted on its residual ‖A^T u − s v‖ with u = A v / s, computed from the final vectors: some singular value
lies within the residual of s. Where the iteration does not get there, the full decomposition is taken instead.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from rmtfl.montecarlo.devices import HOST, Device, in_memory

Array = NDArray[np.float64]

TOLERANCE = 1e-10  # of the residual, relative to its singular value
ROUNDING = 1e-14  # of the residual, relative to the largest value: 45 units of rounding, seen up to 15 in tests
SMALL = 150  # below this smaller side the full decomposition is as fast
MOST_STEPS = 1000  # eight values at the edge of a bulk took 160 at N = 2000, and about N^{1/3} beyond


def top_singular(matrix: Any, count: int, rng: np.random.Generator, device: Device = HOST) -> tuple[Array, Array]:
    """The `count` largest singular values and their right singular vectors.

    Args:
        matrix: (N, d) array of the device, finite.
        count: how many, at most min(N, d).
        rng: draws the starting vector.
        device: where the matrix is.

    Returns:
        values: (count,) descending, in memory.
        vectors: (count, d), orthonormal rows, in memory.
    """
    if min(matrix.shape) > SMALL:
        found = _lanczos(matrix, count, rng, device)
        if found is not None:
            return found
    _, values, vectors = device.xp.linalg.svd(matrix, full_matrices=False)
    return in_memory(values[:count]), np.ascontiguousarray(in_memory(vectors[:count, :]))


def all_singular(matrix: Any, device: Device = HOST) -> Array:
    """All min(N, d) singular values, descending, in memory. The matrix may be overwritten."""
    if isinstance(matrix, np.ndarray):
        # Transposed, a row-major array is in the order LAPACK works in, and is not copied.
        values: Array = scipy.linalg.svdvals(matrix.T, overwrite_a=True, check_finite=False)
        return values
    return in_memory(device.xp.linalg.svdvals(matrix))


def _lanczos(matrix: Any, count: int, rng: np.random.Generator, device: Device = HOST) -> tuple[Array, Array] | None:
    norm = device.xp.linalg.vector_norm
    steps = min(MOST_STEPS, *matrix.shape)
    basis = device.empty(min(steps, 2 * SMALL) + 1, matrix.shape[1])
    diagonal, upper = np.zeros(steps), np.zeros(steps)
    start = rng.standard_normal(matrix.shape[1])
    basis[0, :] = device.array(start / np.linalg.norm(start))
    left = device.zeros(matrix.shape[0])
    next_look = 5 * count
    alpha = beta = 0.0
    for j in range(steps):
        left *= -beta
        left += matrix @ basis[j, :]
        diagonal[j] = alpha = float(norm(left))
        if alpha <= ROUNDING * diagonal[:j].max(initial=0):  # the basis spans an invariant space
            return None
        left /= alpha
        right = left @ matrix
        right -= alpha * basis[j, :]
        for _ in range(2):  # twice is enough
            right -= (basis[: j + 1, :] @ right) @ basis[: j + 1, :]
        upper[j] = beta = float(norm(right))
        if beta <= ROUNDING * diagonal[: j + 1].max():
            return None
        if j + 1 == next_look:
            found = _ritz(matrix, basis[: j + 1, :], diagonal[: j + 1], upper[: j + 1], count, device)
            if found is not None:
                return found
            next_look += 20
        if j + 1 == basis.shape[0]:
            larger = device.empty(2 * basis.shape[0], matrix.shape[1])
            larger[: j + 1, :] = basis
            basis = larger
        basis[j + 1, :] = right / beta
    return None


def _ritz(
    matrix: Any, basis: Any, diagonal: Array, upper: Array, count: int, device: Device
) -> tuple[Array, Array] | None:
    """The values and vectors that the bidiagonal gives, or None while a residual is above the tolerance."""
    xp = device.xp
    bidiagonal = np.diag(diagonal) + np.diag(upper[:-1], 1)
    left, estimates, right = scipy.linalg.svd(bidiagonal, check_finite=False)
    if np.any(upper[-1] * np.abs(left[-1, :count]) > TOLERANCE * estimates[:count]):
        return None
    space = device.array(np.ascontiguousarray(right[:count])) @ basis
    lefts, found, turn = xp.linalg.svd(matrix @ space.T, full_matrices=False)
    vectors = turn @ space
    residual = in_memory(xp.linalg.vector_norm(lefts.T @ matrix - found[:, None] * vectors, axis=1))
    values = in_memory(found)
    if np.any(residual > TOLERANCE * values + ROUNDING * values[0]):
        return None
    return values, in_memory(vectors)
