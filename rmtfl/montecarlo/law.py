"""Random matrices that have a given limiting law, and what one of them shows.

Populations are dealt out deterministically (largest remainders), so that only the noise is random. A
matrix of size p follows its law up to O(1/p) in the bulk and O(p^{-1/2}) at an outlier. Nothing here
predicts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class LawParameters(Protocol):
    """What of a study's `[law]` table a simulation reads."""

    family: str
    ratio: float | None
    atoms: tuple[float, ...] | None
    weights: tuple[float, ...] | None
    variance: float | None
    centre: float | None
    spikes: tuple[float, ...]
    size: int


def deal(atoms: Sequence[float], weights: Sequence[float], size: int) -> Floats:
    """Return `size` population eigenvalues with the given weights, by largest remainders."""
    share = np.asarray(weights, float) * size / np.sum(weights)
    count = np.floor(share).astype(int)
    for i in np.argsort(count - share, kind="stable")[: size - count.sum()]:
        count[i] += 1
    return np.repeat(np.asarray(atoms, float), count)


def covariance(population: Floats, ratio: float, rng: np.random.Generator) -> Floats:
    """Return Σ^{1/2} X X^T Σ^{1/2} / n, Σ diagonal, X Gaussian of shape p x n with n = p/ratio rounded."""
    p = population.size
    n = max(1, round(p / ratio))
    data = np.sqrt(population)[:, None] * rng.standard_normal((p, n))
    return np.asarray(data @ data.T / n)


def wigner(size: int, variance: float, centre: float, rng: np.random.Generator) -> Floats:
    """Return a symmetric Gaussian matrix whose law is the semicircle of the given variance and centre."""
    g = rng.standard_normal((size, size))
    return np.asarray((g + g.T) * np.sqrt(variance / (2 * size)) + centre * np.eye(size))


def sample(table: LawParameters, rng: np.random.Generator) -> Floats:
    """Return one p x p matrix that has the table's law and spikes, the i-th spike along the i-th axis.

    Args:
        table: Family, parameters, spikes and size.
        rng: Where the randomness comes from.
    """
    spikes = np.array(table.spikes, float)
    variance = 1.0 if table.variance is None else table.variance
    if table.family == "semicircle":
        matrix = wigner(table.size, variance, table.centre or 0.0, rng)
        matrix[np.diag_indices(spikes.size)] += spikes
        return matrix
    atoms, weights = table.atoms or (variance,), table.weights or (1.0,)
    population = np.concatenate([spikes, deal(atoms, weights, table.size - spikes.size)])
    assert table.ratio is not None
    return covariance(population, table.ratio, rng)


def trial(table: LawParameters, rng: np.random.Generator) -> dict[str, Floats]:
    """Return what one sampled matrix shows.

    Args:
        table: As for `sample`.
        rng: Where the randomness comes from.

    Returns:
        `eigenvalues`, ascending, shape (p,); `locations` and `overlaps`, one a spike: the eigenvalue whose
        eigenvector has the largest squared overlap with the spike's axis, and that overlap. For a subcritical
        spike both are of whatever bulk eigenvector happens to be closest.
    """
    values, vectors = np.linalg.eigh(sample(table, rng))
    squares = vectors[: len(table.spikes)] ** 2
    best = np.argmax(squares, axis=1)
    return {
        "eigenvalues": values,
        "locations": values[best],
        "overlaps": squares[np.arange(best.size), best],
    }
