"""One network's own batches as nodes: what a batch that is given as numbers puts in place of the laws of its samples.

The frame is that of the first batch: β, which is the first basis vector, and b^⊥, the part of b = X^T y/n across it.
Known in it are the labels, the samples' coordinates, b itself and the moments of the labels, each of which differs from
its law by O(n^{-1/2}): what is left of a network's own deviation is of the order of what the equations neglect
(theory/deformed-bulk.md, `deformed-bulk.quenched`).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rmtfl.given import GivenBatches
from rmtfl.setup import Setup
from rmtfl.weights.statistics import Statistics

Array = NDArray[np.float64]


def statistics(setup: Setup, stats: Statistics) -> Statistics:
    """The moments, those of the labels and of b being the first batch's own where it is given."""
    batches = setup.data.batch
    if batches is None:
        return stats
    _, labels = batches.batch(0)
    along = float(_direction(batches)[0])
    return replace(stats, c0=float(np.mean(labels)), c1=along, m2=float(np.mean(labels**2)))


def direction(setup: Setup, stats: Statistics) -> tuple[float, float]:
    """Of b in the frame: (c₁, √(φ m₂)), or the first batch's own."""
    batches = setup.data.batch
    if batches is None:
        return stats.c1, stats.perpendicular
    b = _direction(batches)
    return float(b[0]), float(np.linalg.norm(b[1:]))


def coordinates(batches: GivenBatches, step: int) -> tuple[Array, Array, Array]:
    """(z, g, y) of a batch's samples, each of shape (n,): along β, along b^⊥ with what is their own in it, labels."""
    inputs, labels = batches.batch(step)
    across = _direction(batches)
    across[0] = 0
    return inputs[:, 0], inputs @ across / np.linalg.norm(across), labels


def _direction(batches: GivenBatches) -> Array:
    """The first batch's b = X^T y/n, shape (d,)."""
    inputs, labels = batches.batch(0)
    return np.asarray(inputs.T @ labels / len(labels))
