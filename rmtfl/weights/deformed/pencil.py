"""Deterministic equivalent of the resolvent of weights whose rows are independent given the data.

Let the rows of W (N × d) be independent given the data, with covariance S(a)/d, where S(a) is a polynomial in the
data's matrices X^T D X/n and depends on the row through its second-layer weight a. Then

    Q(z) = (W^T W - z)^{-1} ≈ (ψ E_a[S(a)/(1 + δ(a))] - z)^{-1},      δ(a) = (1/d) tr S(a) Q,

and the right-hand side is the corner of the inverse of a matrix that is *linear* in the x_j x_j^T,

    L = (C - z e₀e₀^T) ⊗ I + Σ_batches (1/n) Σ_j T_j ⊗ x_j x_j^T.

For Gaussian x_j its inverse is G ⊗ I in the mean, with the small matrix G of

    J_j = (I + φ T_j G)^{-1},   B_j = J_j T_j,   G = (C + Σ E_j B_j - z e₀e₀^T)^{-1},   R_j = G J_j,

where (1/d) x_j^T L^{-1} x_j = R_j gives every trace that δ(a) needs, and (1/d) tr Q = G₀₀ (theory/deformed-bulk.md).
A batch's T_j acts on few of the blocks, its support; J, B and R are formed on that alone.

It breaks down where the fixed point is not attracting: in the bulk at an imaginary part of z far below the spacing of
the nodes, and past the edge on the real axis. `solve` then says so. Checked against resolvents of drawn matrices at
complex z, in tests/weights/test_deformed.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rmtfl import solve as engine
from rmtfl.weights.deformed.bordered import Bordered
from rmtfl.weights.deformed.transfer import Array, Dense, Matrix, Transfer, product

TOLERANCE = 1e-8  # of the fixed point on the real axis, relative to its largest entry: nodes leave 1e-4 and more
COMPLEX_TOLERANCE = 1e-6  # above it: densities are smoothed by far more
REAL_STEPS = 60  # on the real axis right of the edge 20 are enough: more means that the edge is passed
COMPLEX_STEPS = 400
SOLVER = engine.Anderson(memory=6, damping=0.7)


@dataclass(frozen=True)
class Batch:
    """The samples of one batch as weighted nodes, and their moments in the frame of `rmtfl.weights.deformed.frame`.

    Attributes:
        support: the blocks that the batch's T acts on, shape (k,).
        weight: of the nodes, summing to 1, shape (n,).
        second: E[t t^T | node] of the frame coordinates t, shape (n, 2, 2).
        mixed: E[t ŷ | node], shape (n, 2), and None for a batch that the frame does not depend on.
        square: ŷ² of the nodes, of mean 1, shape (n,); None as `mixed`.
    """

    support: NDArray[np.intp]
    weight: Array
    second: Array
    mixed: Array | None = None
    square: Array | None = None

    def block(self, matrix: Matrix) -> Matrix:
        """The part of a (D, D) matrix on the support."""
        return matrix[np.ix_(self.support, self.support)]

    def add(self, matrix: Matrix, part: Matrix) -> None:
        """Add a (k, k) part to a (D, D) matrix in place."""
        matrix[np.ix_(self.support, self.support)] += part

    def mean(self, values: Matrix, factor: Array | None = None) -> Matrix:
        """E_j factor_j values_j, over the first axis."""
        weight = self.weight if factor is None else self.weight * factor
        flat = values.reshape(weight.size, -1)
        return np.asarray(product(weight, flat).reshape(values.shape[1:]))


class Pencil(Protocol):
    """The linear pencil L of one kind of training.

    Attributes:
        size: D, the number of blocks.
        phi: d/n.
        rows: ψ times the weights of the second-layer nodes, shape (N,).
        batches: the samples.
    """

    @property
    def size(self) -> int: ...  # noqa: D102
    @property
    def phi(self) -> float: ...  # noqa: D102
    @property
    def rows(self) -> Array: ...  # noqa: D102
    @property
    def batches(self) -> tuple[Batch, ...]: ...  # noqa: D102

    def assemble(self, load: Matrix) -> tuple[Matrix, tuple[Matrix | Bordered, ...]]:
        """C of shape (D, D) and, for every batch, T of shape (n, k, k), at load = rows/(1 + δ)."""

    def delta(self, G: Matrix, seen: tuple[Any, ...]) -> Matrix:
        """δ at the second-layer nodes, shape (N,), from G and the transfer of every batch."""


@dataclass(frozen=True)
class Point:
    """The solution at one z.

    Attributes:
        z: the spectral parameter (an eigenvalue of W^T W, not a singular value).
        G: shape (D, D).
        delta: δ(a), shape (N,).
        load: rows/(1 + δ), shape (N,).
        constant: C, shape (D, D).
        transfers: of every batch.
        physical: whether 1 + δ and det J are positive: on the real axis, right of the bulk.
    """

    z: complex
    G: Matrix
    delta: Matrix
    load: Matrix
    constant: Matrix
    transfers: tuple[Transfer, ...]
    physical: bool

    @cached_property
    def full(self) -> tuple[tuple[Matrix, Matrix], ...]:
        """J and B of every batch, each of shape (n, k, k)."""
        return tuple(transfer.full() for transfer in self.transfers)

    @property
    def m(self) -> complex:
        """(1/d) tr Q(z)."""
        return complex(self.G[0, 0])

    @property
    def unknowns(self) -> Matrix:
        """What the fixed point is an equation for, as one vector."""
        return np.concatenate([self.G.ravel(), self.delta])


def at(pencil: Pencil, z: complex, start: Matrix | None = None) -> Point | None:
    """The solution at a complex z; None where the iteration does not converge.

    Args:
        pencil: of the trained weights.
        z: off the real axis.
        start: the `unknowns` of a solution near by.
    """
    if start is None:
        start = _far(pencil, z)
    return _solve(pencil, start.astype(complex), z=z)


def at_stieltjes(pencil: Pencil, m: float, start: Matrix | None = None) -> Point | None:
    """The real solution with (1/d) tr Q = m, whose z is an outcome; None where the iteration does not converge.

    Unlike the equation at a given z, this one stays well conditioned up to the edge, where z(m) has its minimum.
    """
    if start is None:
        start = _far(pencil, -1 / m).real
    return _solve(pencil, start, m=m)


def _far(pencil: Pencil, z: complex) -> Matrix:
    """The solution as z → ∞: Q = -1/z, δ = 0."""
    constant, _ = pencil.assemble(pencil.rows)
    matrix = constant.astype(complex)
    matrix[0, 0] -= z
    return np.concatenate([np.linalg.inv(matrix).ravel(), np.zeros(pencil.rows.size)])


def _solve(pencil: Pencil, start: Matrix, *, z: complex | None = None, m: float | None = None) -> Point | None:
    size = pencil.size
    tolerance, max_steps = (TOLERANCE, REAL_STEPS) if z is None else (COMPLEX_TOLERANCE, COMPLEX_STEPS)

    def step(x: Matrix) -> Matrix:
        G = x[: size * size].reshape(size, size)
        constant, transfers = _transfer(pencil, G, x[size * size :])
        K = _mean(pencil, constant, transfers)
        K[0, 0] -= _eliminated(K, m) if z is None else z
        return np.concatenate([np.linalg.inv(K).ravel(), pencil.delta(G, transfers)])

    try:
        with np.errstate(all="ignore"):
            found = engine.solve(
                engine.FixedPoint(step), SOLVER, start, tolerance=tolerance, max_steps=max_steps, throw=False
            )
            if not found:
                return None
            return _point(pencil, found.value, z, m)
    except np.linalg.LinAlgError:
        return None


def _transfer(pencil: Pencil, G: Matrix, delta: Matrix) -> tuple[Matrix, tuple[Transfer, ...]]:
    constant, parts = pencil.assemble(pencil.rows / (1 + delta))
    return constant, tuple(
        T.transfer(batch.weight, pencil.phi, batch.block(G))
        if isinstance(T, Bordered)
        else Dense(T, batch.weight, pencil.phi, batch.block(G))
        for batch, T in zip(pencil.batches, parts, strict=True)
    )


def _mean(pencil: Pencil, constant: Matrix, transfers: tuple[Transfer, ...]) -> Matrix:
    means = [transfer.mean() for transfer in transfers]
    K = constant.astype(np.result_type(constant, *means))
    for batch, mean in zip(pencil.batches, means, strict=True):
        batch.add(K, mean)
    return K


def _eliminated(K: Matrix, m: float | None) -> Any:
    """The z at which the corner of (K - z e₀e₀^T)^{-1} is m."""
    assert m is not None
    return K[0, 0] - K[0, 1:] @ np.linalg.solve(K[1:, 1:], K[1:, 0]) - 1 / m


def _point(pencil: Pencil, x: Matrix, z: complex | None, m: float | None) -> Point:
    G, delta = x[: pencil.size**2].reshape(pencil.size, pencil.size), x[pencil.size**2 :]
    constant, transfers = _transfer(pencil, G, delta)
    if z is None:
        z = complex(_eliminated(_mean(pencil, constant, transfers), m))
    physical = bool(np.all(np.real(1 + delta) > 0)) and all(transfer.physical for transfer in transfers)
    return Point(z, G, delta, pencil.rows / (1 + delta), constant, transfers, physical)
