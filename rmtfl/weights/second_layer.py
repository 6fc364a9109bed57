"""The law of a second-layer weight ā (mean 0, variance 1): its moments and its Gauss rules.

The finite-rank part of the weights is an operator on L²(law of ā); a Gauss rule in ā turns it into a small matrix. With
a kinked activation and a reused batch that operator's kernel has a kink at ā = 0, so the rule is then cut there.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from math import factorial

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh_tridiagonal, eigvalsh_tridiagonal

from rmtfl.gaussian import density, legendre, panels
from rmtfl.given import GivenLayer

Array = NDArray[np.float64]

REACH = 8.5  # of the trapezoid rule in ā: E ā^6 beyond it is 1e-10 of its value
HALF_LINE = 13.0  # ∫ beyond it is 1e-38: the discretised half-range weight loses nothing a double can hold


def moment(law: str, power: int) -> Fraction:
    """E ā^power, exact; over the given ā_i, that of the doubles."""
    if isinstance(law, GivenLayer):
        return Fraction(float(np.mean(law.values**power)))
    if power % 2:
        return Fraction(0)
    if law == "gaussian":
        half = power // 2
        return Fraction(factorial(power), factorial(half) * 2**half)
    if law == "uniform":
        return Fraction(3 ** (power // 2), power + 1)
    return Fraction(1)


def distinct_powers(law: str) -> int | None:
    """How many powers of ā are linearly independent: 2 for ā = ±1, as many as there are values; else no limit."""
    if isinstance(law, GivenLayer):
        return int(np.unique(law.values).size)
    return 2 if law == "rademacher" else None


def rule(law: str, order: int, *, cut: bool = False) -> tuple[Array, Array]:
    """A Gauss rule for the law of ā, weights summing to 1.

    Args:
        law: gaussian, rademacher or uniform, or a `rmtfl.given.GivenLayer`: the law of one of its ā_i.
        order: the number of nodes (on each side of zero, if cut).
        cut: whether the integrand may have a kink at ā = 0.
    """
    if law == "rademacher":
        return np.array([-1.0, 1.0]), np.array([0.5, 0.5])
    if isinstance(law, GivenLayer):
        return _given(law, order, cut)
    if not cut:
        return _whole(law, order)
    nodes, weights = _half(law, order)
    return np.concatenate([-nodes[::-1], nodes]), np.concatenate([weights[::-1], weights])


@lru_cache(maxsize=64)
def _whole(law: str, order: int) -> tuple[Array, Array]:
    if law == "uniform":
        nodes, weights = legendre(order)
        return np.sqrt(3.0) * nodes, weights / 2
    # The trapezoid rule: the spikes are analytic in ā in a strip, where it beats the Gauss-Hermite rule.
    step = 2 * REACH / (order - 1)
    trapezoid = np.asarray((np.arange(order) - (order - 1) / 2) * step, dtype=np.float64)
    return trapezoid, step * density(trapezoid)


@lru_cache(maxsize=64)
def _given(law: GivenLayer, order: int, cut: bool) -> tuple[Array, Array]:
    values, counts = np.unique(law.values, return_counts=True)
    weights = counts / law.values.size
    sides = [values < 0, values == 0, values > 0] if cut else [np.isfinite(values)]
    rules = [discrete_rule(values[side], weights[side], order) for side in sides if side.any()]
    return np.concatenate([x for x, _ in rules]), np.concatenate([w for _, w in rules])


def discrete_rule(values: Array, weights: Array, order: int) -> tuple[Array, Array]:
    """The Gauss rule of a discrete measure: itself where it has no more atoms than the rule has nodes."""
    if values.size <= order:
        return values, weights
    nodes, vectors = eigh_tridiagonal(*_recurrence(values, weights, order))
    # Weights by eigenvectors: their digits are absolute, which is enough here, and atoms that are resolved cost none.
    return np.asarray(nodes), np.asarray(float(weights.sum()) * vectors[0] ** 2)


@lru_cache(maxsize=64)
def hermite_rule(order: int) -> tuple[Array, Array]:
    """The Gauss-Hermite rule for N(0, 1), weights summing to 1."""
    off_diagonal = np.sqrt(np.arange(1.0, order))
    return _golub_welsch(np.zeros(order), off_diagonal, 1.0)


def orthonormal_hermite(x: Array, count: int) -> Array:
    """He_k(x)/√k! for k < count, of shape (count, len(x))."""
    basis = np.ones((count, x.size))
    for k in range(1, count):
        before = np.sqrt(k - 1.0) * basis[k - 2] if k > 1 else 0.0
        basis[k] = (x * basis[k - 1] - before) / np.sqrt(float(k))
    return basis


@lru_cache(maxsize=64)
def _half(law: str, order: int) -> tuple[Array, Array]:
    """The Gauss rule of the law restricted to ā > 0, of total weight 1/2."""
    if law == "uniform":
        nodes, weights = legendre(order)
        return np.sqrt(3.0) * (nodes + 1) / 2, weights / 4
    x, w = panels(np.linspace(0.0, HALF_LINE, 27).tolist())
    return _golub_welsch(*_recurrence(x, w * density(x), order), 0.5)


def _recurrence(x: Array, w: Array, order: int) -> tuple[Array, Array]:
    """Three-term coefficients of the orthonormal polynomials of a discrete measure (Lanczos, reorthogonalised)."""
    basis = [np.sqrt(w / w.sum())]
    diagonal, off_diagonal = [], []
    for _ in range(order):
        current = basis[-1]
        diagonal.append(float(current @ (x * current)))
        following = x * current
        for _ in range(2):
            for vector in basis:
                following = following - (vector @ following) * vector
        norm = float(np.linalg.norm(following))
        off_diagonal.append(norm)
        basis.append(following / norm)
    return np.array(diagonal), np.array(off_diagonal[:-1])


def _golub_welsch(diagonal: Array, off_diagonal: Array, total: float) -> tuple[Array, Array]:
    nodes = np.asarray(eigvalsh_tridiagonal(diagonal, off_diagonal), dtype=np.float64)
    # Weights by the Christoffel function: those of an eigenvector would have no correct digit in the tails.
    before, now = np.zeros_like(nodes), np.ones_like(nodes)
    sum_of_squares = now.copy()
    for k in range(len(nodes) - 1):
        following = (nodes - diagonal[k]) * now - (off_diagonal[k - 1] * before if k else 0.0)
        before, now = now, following / off_diagonal[k]
        sum_of_squares += now * now
    return nodes, total / sum_of_squares
