"""Outliers and overlaps: the two directions that the data single out, and the mean rows.

The pencil's inverse is a multiple of the identity but for the directions β and b^⊥, the part of b = X₁^T y₁/n across β:
the labels depend on the samples along them. With the samples' coordinates t_j in this frame, ŷ = y/√(E y²), and
the rest of X₁ fresh but for being orthogonal to y, the inverse in the frame is E = M^{-1},

    M_ik = 1_{ik} (C - z e₀e₀^T) + Σ_batches E[t_i t_k B] + E₁[t_i ŷ B] Ξ E₁[ŷ t_k B],
    Ξ = (I - φ G E₁[ŷ² B])^{-1} φ G,

the last term from the batch that b is made of. The mean rows Ψ(a) = Σ_k c_k(a) v_k, with v₀ = b and further vectors
v = X^T g/n, are a perturbation of finite rank: outliers are where det(I + 𝒦 V^T Q V) = 0 with 𝒦 = N E_a[c c^T/(1 + δ)],
and those of covariance type where det M = 0 (theory/deformed-bulk.md).

With J̃ = (I + φ G T)^{-1}, the vectors of a batch have the parts E[t g J] e₀ in the frame and add φ E[g g' R₀₀] to
V^T Q V; if b is made of that batch, removing ŷ adds E[t ŷ B] Ξ E[ŷ g J] e₀ and -E[ŷ g e₀^T J̃] Ξ E[ŷ g' J e₀].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rmtfl.weights.deformed.pencil import Batch, Pencil, Point
from rmtfl.weights.deformed.transfer import Matrix

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Curves:
    """The vectors v_l = X^T g_l/n of one batch that the mean rows are made of, next to b.

    Attributes:
        batch: which one.
        values: g_l at its nodes, shape (L, n).
        coordinates: t at its nodes, shape (n, 2).
        labels: ŷ at its nodes, shape (n,), and None for a batch that b is not made of.
    """

    batch: int
    values: Array
    coordinates: Array
    labels: Array | None = None


class Output(Protocol):
    """The network's own output in the last residual: vectors v_l = -(1/N) Σ_i ā_i r_il that follow the rows' noise.

    Attributes:
        coefficients: c_l(a) at the second-layer nodes, shape (N, L).
        layer: ā at the nodes, shape (N,).
    """

    @property
    def coefficients(self) -> Array: ...  # noqa: D102
    @property
    def layer(self) -> Array: ...  # noqa: D102

    def forms(self, point: Point) -> tuple[Array, Array]:
        """η = (1/d) tr E[r_l w^T] Q, shape (N, L), and ρ = (1/d) tr E[r_l r_m^T] Q, shape (N, L, L), of a row w."""


class Trained(Pencil, Protocol):
    """A pencil together with the mean rows.

    Attributes:
        direction: b in the frame, (c₁, √(φ m₂)).
        coefficients: c_k(a) at the second-layer nodes, shape (N, 1 + L), that of b first.
        curves: the further vectors, if there are any.
        output: what the network's own output adds to them, if it is known.
        dimension: d.
    """

    @property
    def direction(self) -> tuple[float, float]: ...  # noqa: D102
    @property
    def coefficients(self) -> Array: ...  # noqa: D102
    @property
    def curves(self) -> Curves | None: ...  # noqa: D102
    @property
    def output(self) -> Output | None: ...  # noqa: D102
    @property
    def dimension(self) -> int: ...  # noqa: D102


@dataclass(frozen=True)
class Secular:
    """What decides about outliers at one z.

    Attributes:
        growth: eigenvalues of -𝒦^{1/2} V^T Q V 𝒦^{1/2}, descending: one that crosses 1 is an outlier's.
        orientation: the sign of det M.
        product: det(I + 𝒦^{1/2} V^T Q V 𝒦^{1/2}) det M, up to a positive factor.
    """

    growth: Array
    orientation: float
    product: float


def secular(pencil: Trained, point: Point) -> Secular:
    """Everything about outliers at a point right of the bulk."""
    M = _frame_matrix(pencil, point)
    left, right, base = _vectors(pencil, point)
    inner = left @ np.linalg.solve(M, right) + base
    growth = np.asarray(-np.linalg.eigvalsh((inner + inner.T) / 2), dtype=np.float64)
    sign, size = np.linalg.slogdet(M)
    return Secular(growth, float(sign), float(np.prod(1 - growth) * sign * np.exp(size / M.shape[0])))


def target_form(pencil: Trained, point: Point) -> float:
    """β^T Q β with the mean rows, at a point right of the bulk that is no outlier."""
    M = _frame_matrix(pencil, point)
    left, right, base = _vectors(pencil, point)
    inverse = np.linalg.inv(M)
    mean_rows = np.eye(base.shape[0]) + left @ inverse @ right + base
    return float(inverse[0, 0] - inverse[0] @ right @ np.linalg.solve(mean_rows, left @ inverse[:, 0]))


def _frame_matrix(pencil: Pencil, point: Point) -> Matrix:
    """M, of shape (2D, 2D)."""
    size = pencil.size
    M = np.zeros((2, size, 2, size))
    for i in range(2):
        M[i, :, i, :] = point.constant
        M[i, 0, i, 0] -= point.z.real
    for batch, (_, B) in zip(pencil.batches, point.full, strict=True):
        direct = _averaged(batch.weight[:, None, None] * batch.second, B)
        if batch.mixed is not None:
            half, inside = _label_direction(pencil, batch, point, B)
            direct = direct + np.einsum("iab,bc,kcd->ikad", half, inside, half)
        for i in range(2):
            for k in range(2):
                M[i, batch.support[:, None], k, batch.support] += direct[i, k]
    return M.reshape(2 * size, 2 * size)


def _averaged(factors: Array, values: Matrix) -> Matrix:
    """Σ_j factors_j ⊗ values_j."""
    count = len(values)
    total = factors.reshape(count, -1).T @ values.reshape(count, -1)
    return np.asarray(total.reshape(*factors.shape[1:], *values.shape[1:]))


def _label_direction(pencil: Pencil, batch: Batch, point: Point, B: Matrix) -> tuple[Matrix, Matrix]:
    assert batch.mixed is not None and batch.square is not None
    half = _averaged(batch.weight[:, None] * batch.mixed, B)
    G = pencil.phi * batch.block(point.G)
    return half, np.linalg.solve(np.eye(batch.support.size) - G @ batch.mean(B, batch.square), G)


def _vectors(pencil: Trained, point: Point) -> tuple[Matrix, Matrix, Matrix]:
    """V 𝒦^{1/2} in the frame, as rows (K, 2D) and columns (2D, K), and what V^T Q V has beyond the frame."""
    output, coefficients = pencil.output, pencil.coefficients
    if output is not None:
        coefficients = np.hstack([coefficients, output.coefficients])
    root, count = _root(pencil, point, coefficients), coefficients.shape[1]
    left = np.zeros((count, 2, pencil.size))
    left[0, :, 0] = pencil.direction
    right, base = left.copy(), np.zeros((count, count))
    if pencil.curves is not None:
        _add_curves(pencil, pencil.curves, point, left, right, base)
    if output is not None:
        root = _add_output(pencil, output, point, coefficients, root, base)
    return root.T @ left.reshape(count, -1), right.reshape(count, -1).T @ root, root.T @ base @ root


def _root(pencil: Trained, point: Point, coefficients: Array) -> Array:
    """A square root of 𝒦 = N E_a[c c^T/(1 + δ)]: 𝒦 is root root^T."""
    weighted = coefficients * (pencil.dimension * point.load)[:, None]
    values, axes = np.linalg.eigh(coefficients.T @ weighted)
    return np.asarray(axes * np.sqrt(np.maximum(values, 0.0)))


def _add_output(pencil: Trained, output: Output, point: Point, coefficients: Array, root: Array, base: Matrix) -> Array:
    """Add V^T Q V of the output's vectors, and give the root of (I + P)^{-1} 𝒦 (I + P)^{-T}, P = C^T W Q V."""
    with_rows, within = output.forms(point)
    last = coefficients.shape[1] - with_rows.shape[1]
    share = output.layer * point.load / pencil.rows.sum()
    projected = np.eye(coefficients.shape[1])
    projected[:, last:] -= (coefficients * share[:, None]).T @ with_rows
    # Summed over rows: 1/N² Σ ā² (ρ - η η^T/(1 + δ)), with N = d Σ rows.
    own = np.einsum("i,ilm->lm", pencil.rows * output.layer**2, within)
    own -= (with_rows * (output.layer**2 * point.load)[:, None]).T @ with_rows
    base[last:, last:] = own / (pencil.dimension * pencil.rows.sum() ** 2)
    return np.asarray(np.linalg.solve(projected, root))


def _add_curves(
    pencil: Trained,
    curves: Curves,
    point: Point,
    left: Matrix,
    right: Matrix,
    base: Matrix,
) -> None:
    """Fill in the vectors X^T g/n: their parts in the frame, and the rest of V^T Q V."""
    batch, (J, B) = pencil.batches[curves.batch], point.full[curves.batch]
    G = batch.block(point.G)
    column, row = J[:, :, 0], np.eye(batch.support.size)[0] - pencil.phi * (G[0] @ B)  # J e₀ and e₀^T (I + φGT)^{-1}
    g, t = curves.values * batch.weight, curves.coordinates
    right_part, left_part = (_averaged((g[:, :, None] * t).transpose(1, 0, 2), part) for part in (column, row))
    last = 1 + len(curves.values)
    base[1:last, 1:last] = pencil.phi * (g * (column @ G[0])) @ curves.values.T
    if curves.labels is not None:
        half, inside = _label_direction(pencil, batch, point, B)
        from_right, from_left = (g * curves.labels) @ column, (g * curves.labels) @ row  # E[ŷ g J e₀], E[ŷ g e₀^T J̃]
        right_part = right_part + np.einsum("iab,lb->lia", half @ inside, from_right)
        left_part = left_part + np.einsum("lb,iba->lia", from_left @ inside, half)
        base[1:last, 1:last] -= from_left @ inside @ from_right.T
    right[1:last, :, batch.support] = right_part
    left[1:last, :, batch.support] = left_part
