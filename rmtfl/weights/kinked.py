"""The orders k ≥ 1 of a kinked activation trained twice on one batch, where the Taylor expansion in ā fails.

The self term φ y σ'(h) jumps where the outer σ' does, so that a neuron within O(s₁ ā) of a kink crosses it by an amount
that depends on which side it came from: E σ'(h⁽¹⁾) is a power series in s₁ ā on ā > 0 and another one on ā < 0
(theory/two-step.md, `two-step.kinks`). Each order k ≥ 1 therefore has two left vectors, ā^{k+1} and ā^{k+1} sgn ā, two
right vectors, and up to two spikes of the same exponent: 1 + 2K where a smooth activation has 1 + K.

The two series are read off E σ'(h⁽¹⁾) itself, by interpolation at Chebyshev nodes of s₁ ā on either side of zero; the
difference between two such interpolations is the error reported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from rmtfl.setup import Setup
from rmtfl.weights import conditional, second_layer
from rmtfl.weights.rows import FIELDS, Resolution, ReusedFrame
from rmtfl.weights.statistics import statistics

Array = NDArray[np.float64]

REACH = 0.4  # of s₁ ā: short enough for the series to converge, long enough to tell its orders apart
DEGREES = (11, 14)  # of the two interpolations
ROUNDING = 1e-10  # of the vectors read off, relative: what interpolation leaves of sixteen digits
LEVEL = 1  # of the quadrature
HALF_ORDER = 24  # nodes in ā on each side: exact for the powers needed


@dataclass(frozen=True)
class Block:
    """One spike of an order k ≥ 1: strength ≃ constant · N^exponent, its target overlap, and the errors of both."""

    k: int
    constant: float
    overlap: float
    error: float
    overlap_error: float


def constants(setup: Setup, count: int, joined: tuple[float, float]) -> list[Block]:
    """The spikes of orders 1 … count − 1, at most two an order, descending within it.

    Args:
        setup: two steps on one batch, with a kinked activation.
        count: the number of orders, with k = 0.
        joined: the weights of b and of V₀ in the vector of k = 0.
    """
    coarse, fine = (_blocks(setup, count, joined, degree) for degree in DEGREES)
    return [
        Block(k, b.constant, b.overlap, abs(b.constant - a.constant), abs(b.overlap - a.overlap))
        for (k, a), (_, b) in zip(coarse, fine, strict=True)
    ]


def kappas(setup: Setup, count: int) -> list[float]:
    """The overlap of each order with the target: the larger, in size, of its two right vectors' overlaps.

    What cannot be told from 0 by the two interpolations is 0.
    """
    (_, coarse, _, _), (vectors, fine, _, _) = (_right(setup, count, degree) for degree in DEGREES)
    doubtful = np.abs(fine) <= 4 * np.abs(fine - coarse) + ROUNDING * np.linalg.norm(vectors, axis=1)
    along = np.where(doubtful, 0.0, fine)
    return [float(along[0])] + [float(max(along[2 * k - 1 : 2 * k + 1], key=abs)) for k in range(1, count)]


@dataclass(frozen=True)
class _Spike:
    constant: float
    overlap: float


def _blocks(setup: Setup, count: int, joined: Sequence[float], degree: int) -> list[tuple[int, _Spike]]:
    right, along, direction, b_along = _right(setup, count, degree)
    right = right.copy()
    absent = np.linalg.norm(right[0]) <= ROUNDING  # E σ' = 0: no order 0, and nothing is orthogonal to it
    right[0] = joined[0] * direction + joined[1] * right[0]
    along = along.copy()
    along[0] = joined[0] * b_along + joined[1] * along[0]
    left = _left(setup.network.second_layer, count)
    if absent:
        left, right = left[1:], right[1:]
    before = len(right) - 2 * (count - 1)
    left_triangle = np.asarray(np.linalg.qr(left.T, mode="r"))
    right_basis, right_triangle = np.linalg.qr(right.T)
    e1, e2 = (float(e) for e in setup.training.scale)
    found = []
    for k in range(1, count):
        part = slice(before + 2 * k - 2, before + 2 * k)  # fewer rows on the left where ā takes few values
        block = left_triangle[part, part] @ right_triangle[part, part].T
        _, strengths, rotation = np.linalg.svd(block, full_matrices=False)
        target = (rotation @ right_basis[0, part]) ** 2
        found += [
            (k, _Spike(float(e2 * e1**k * strength), float(overlap)))
            for strength, overlap in zip(strengths, target, strict=True)
        ]
    return found


def _left(law: str, count: int) -> Array:
    """ā and, for k ≥ 1, ā^{k+1} on ā > 0 and on ā < 0, at quadrature nodes times root weights; (2 count − 1, m)."""
    nodes, weights = second_layer.rule(law, HALF_ORDER, cut=True)
    rows = [nodes]
    for k in range(1, count):
        rows += [np.where(nodes > 0, nodes ** (k + 1), 0.0), np.where(nodes < 0, nodes ** (k + 1), 0.0)]
    return np.array(rows) * np.sqrt(weights)


@lru_cache(maxsize=32)
def _right_key(key: str, count: int, degree: int) -> tuple[Array, Array, Array, float]:
    return _right_of(Setup.model_validate_json(key), count, degree)


def _right(setup: Setup, count: int, degree: int) -> tuple[Array, Array, Array, float]:
    # Whatever the second layer is: the right vectors do not know it.
    network = setup.network.model_copy(update={"second_layer": "gaussian"})
    return _right_key(setup.model_copy(update={"network": network}).model_dump_json(), count, degree)


def _right_of(setup: Setup, count: int, degree: int) -> tuple[Array, Array, Array, float]:
    """V₀ and, for k ≥ 1, V_k on either side, as explicit vectors (2 count − 1, D); their target overlaps; b and its."""
    stats = statistics(setup)
    resolution = Resolution.at(np.full(FIELDS, LEVEL), kinked=True)
    frame = ReusedFrame(setup, stats, resolution)
    angles = np.pi * (np.arange(degree) + 0.5) / degree
    t = REACH * (1 + np.cos(angles)) / 2
    shifts = np.concatenate([t, -t])
    _, slope = conditional.reused(
        setup.network.activation, stats, shifts, frame.gamma, frame.grid.nodes, resolution.hidden, resolution.neuron
    )
    terms = [np.full(slope.shape[1:], stats.mu1)]
    sides = []
    for side in (slope[:degree], slope[degree:]):
        powers = np.vander(t / REACH, degree, increasing=True) * (t / REACH)[:, None]
        series = np.linalg.solve(powers, (side - stats.mu1).reshape(degree, -1)).reshape(side.shape)
        sides.append(series)
    for k in range(1, count):
        sign = (-1.0) ** k
        terms += [sides[0][k - 1] / REACH**k, sign * sides[1][k - 1] / REACH**k]
    vectors, direction = frame.vectors(np.array(terms), frame.label)
    return vectors, vectors[:, 0], direction, float(direction[0])
