"""Random matrices that have a given limiting law, and what one of them shows.

Populations are dealt out deterministically (largest remainders), so that only the noise is random. A
matrix of size p follows its law up to O(1/p) in the bulk and O(p^{-1/2}) at an outlier. Nothing here
predicts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rmtfl.montecarlo.devices import HOST, Device, in_memory, open_device
from rmtfl.montecarlo.threads import one_blas_thread

Floats = NDArray[np.float64]

#: Gaussian moments of an activation are taken up to here, at so many points on either side.
REACH, MIDPOINTS = 12.0, 100_000


class Parameters(Protocol):
    """The parameters of one ensemble."""

    family: Any
    ratio: float | None
    atoms: tuple[float, ...] | None
    weights: tuple[float, ...] | None
    variance: float | None
    centre: float | None


class LawParameters(Parameters, Protocol):
    """What of a study's `[law]` table a simulation reads."""

    first: Any
    second: Any
    activation: Any
    width_ratio: float | None
    variances: tuple[tuple[float, ...], ...] | None
    rows: tuple[float, ...] | None
    columns: tuple[float, ...] | None
    spikes: tuple[float, ...]
    size: int


class LawRow(Protocol):
    """A row of a law study."""

    law: LawParameters


def deal(atoms: Sequence[float], weights: Sequence[float], size: int) -> Floats:
    """Return `size` population eigenvalues with the given weights, by largest remainders."""
    share = np.asarray(weights, float) * size / np.sum(weights)
    count = np.floor(share).astype(int)
    for i in np.argsort(count - share, kind="stable")[: size - count.sum()]:
        count[i] += 1
    return np.repeat(np.asarray(atoms, float), count)


def samples(size: int, ratio: float) -> int:
    """Return n = p/ratio, rounded, at least 1."""
    return max(1, round(size / ratio))


def covariance(population: Floats, ratio: float, rng: np.random.Generator) -> Floats:
    """Return Σ^{1/2} X X^T Σ^{1/2} / n, Σ diagonal, X Gaussian of shape p x n with n = p/ratio rounded."""
    n = samples(population.size, ratio)
    data = np.sqrt(population)[:, None] * rng.standard_normal((population.size, n))
    return np.asarray(data @ data.T / n)


def wigner(size: int, variance: float, centre: float, rng: np.random.Generator) -> Floats:
    """Return a symmetric Gaussian matrix whose law is the semicircle of the given variance and centre."""
    g = rng.standard_normal((size, size))
    return np.asarray((g + g.T) * np.sqrt(variance / (2 * size)) + centre * np.eye(size))


def rotation(size: int, rng: np.random.Generator) -> Floats:
    """Return a Haar orthogonal matrix."""
    q, r = np.linalg.qr(rng.standard_normal((size, size)))
    return np.asarray(q * np.sign(np.diagonal(r)))


def features(table: LawParameters, rng: np.random.Generator) -> Floats:
    """Return σ(W X) σ(W X)^T / n, σ centred and of unit variance, W of shape N x d with rows of variance 1/d."""
    assert table.ratio is not None and table.width_ratio is not None
    n, d = samples(table.size, table.ratio), samples(table.size, table.width_ratio)
    activation = table.activation.numpy()
    # Gaussian moments by the midpoint rule: kinks and jumps cost 1e-5 at most, far below one draw's scatter.
    nodes = (np.arange(-MIDPOINTS, MIDPOINTS) + 0.5) * (REACH / MIDPOINTS)
    mass = np.exp(-(nodes**2) / 2)
    mass /= mass.sum()
    values = activation(nodes)
    mean = float(mass @ values)
    spread = float(mass @ (values - mean) ** 2) ** 0.5
    inner = rng.standard_normal((table.size, d)) @ rng.standard_normal((d, n)) / math.sqrt(d)
    data = (activation(inner) - mean) / spread
    return np.asarray(data @ data.T / n)


def classes(shares: Sequence[float] | None, count: int, size: int) -> NDArray[np.intp]:
    """Return the class of each of `size` rows or columns: `count` classes of the given shares, or of equal ones."""
    return deal(range(count), shares or [1 / count] * count, size).astype(int)


def profiled(table: LawParameters, rng: np.random.Generator) -> Floats:
    """Return Y Y^T, Y of shape p x n with Gaussian entries of variance s_ij/n in classes (i, j)."""
    assert table.ratio is not None and table.variances is not None
    n, variances = samples(table.size, table.ratio), np.array(table.variances)
    down = classes(table.rows, variances.shape[0], table.size)
    across = classes(table.columns, variances.shape[1], n)
    data = np.sqrt(variances[np.ix_(down, across)] / n) * rng.standard_normal((table.size, n))
    return np.asarray(data @ data.T)


def population(table: Parameters, spikes: Sequence[float], size: int) -> Floats:
    """Return the population eigenvalues of a table, spikes first (for the semicircle: of the perturbation)."""
    first, rest = np.array(spikes, float), size - len(spikes)
    if table.family == "semicircle":
        return np.concatenate([first, np.zeros(rest)])
    variance = 1.0 if table.variance is None else table.variance
    return np.concatenate([first, deal(table.atoms or (variance,), table.weights or (1.0,), rest)])


def ensemble(table: Parameters, spikes: Sequence[float], size: int, rng: np.random.Generator) -> Floats:
    """Return one matrix of a Wigner or sample-covariance ensemble, the i-th spike along the i-th axis."""
    own = population(table, spikes, size)
    if table.family == "semicircle":
        variance = 1.0 if table.variance is None else table.variance
        matrix = wigner(size, variance, table.centre or 0.0, rng)
        matrix[np.diag_indices(size)] += own
        return matrix
    assert table.ratio is not None
    return covariance(own, table.ratio, rng)


def sample(table: LawParameters, rng: np.random.Generator) -> Floats:
    """Return one p x p matrix that has the table's law and spikes, the i-th spike along the i-th axis.

    Args:
        table: Family, parameters, spikes and size.
        rng: Where the randomness comes from.
    """
    if table.family == "random-features":
        return features(table, rng)
    if table.family == "variance-profile":
        return profiled(table, rng)
    if table.first is None or table.second is None:
        return ensemble(table, table.spikes, table.size, rng)
    count = len(table.spikes)
    one = np.diag(np.concatenate([table.spikes, np.zeros(table.size - count)]))
    one[count:, count:] = ensemble(table.first, (), table.size - count, rng)
    two = ensemble(table.second, (), table.size, rng)
    turn = rotation(table.size, rng)
    two = turn @ two @ turn.T
    if table.family == "free-sum":
        return one + two
    values, vectors = np.linalg.eigh(one)
    root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    return np.asarray(root @ two @ root)


def observe(table: LawParameters, rng: np.random.Generator, device: Device = HOST) -> dict[str, Floats]:
    """Return what one sampled matrix shows.

    Args:
        table: As for `sample`.
        rng: Where the randomness comes from.
        device: What decomposes it; it is drawn in memory.

    Returns:
        `eigenvalues`, ascending, shape (p,); `locations` and `overlaps`, one a spike: the eigenvalue whose
        eigenvector has the largest squared overlap with the spike's axis, and that overlap. For a subcritical
        spike both are of whatever bulk eigenvector happens to be closest.
    """
    found, vectors = device.xp.linalg.eigh(device.array(sample(table, rng)))
    values, squares = in_memory(found), in_memory(vectors[: len(table.spikes), :]) ** 2
    best = np.argmax(squares, axis=1)
    return {
        "eigenvalues": values,
        "locations": values[best],
        "overlaps": squares[np.arange(best.size), best],
    }


def trial(setup: LawRow, seed: np.random.SeedSequence, *, device: str = "cpu") -> dict[str, Floats]:
    """Return what `observe` does, of one matrix of a row of a law study, decomposed on the device of that name."""
    place = open_device(device)
    with one_blas_thread():
        return observe(setup.law, np.random.default_rng(seed), place)


def memory(setup: LawRow) -> int:
    """Return the bytes that one trial needs at its peak: the data, the matrix, its eigenvectors and workspaces."""
    table = setup.law
    p = table.size
    ratios = [part.ratio for part in (table, table.first, table.second) if part is not None and part.ratio is not None]
    columns = max([p, *(samples(p, ratio) for ratio in ratios)])
    if table.width_ratio is not None:
        inner = samples(p, table.width_ratio)
        return 8 * (2 * p * columns + inner * (p + columns) + 5 * p * p)
    if table.variances is not None:
        return 8 * (4 * p * columns + 5 * p * p)
    return 8 * (2 * p * columns + (5 if table.first is None else 9) * p * p)
