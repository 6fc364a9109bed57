"""Second-layer weights and labels as the nodes that a network of N neurons and n samples has of them.

The largest of N second-layer weights and the largest of n labels shape the top of the bulk, and at N = ∞ a bulk with
unbounded ones has no edge at all. So the law of ā is represented by its N quantiles at (i - 1/2)/N, and that of y by n:
what a typical draw looks like. A Gauss rule would put atoms of tiny weight far out, each with a bulk of its own.

Beyond `WHOLE` of them the central quantiles are merged, by the two-point Gauss rule over ever longer runs of ranks; the
`TAIL` outermost on each side stay as they are, whatever the number. At N = n = 1000 and 4000 that changes the edge, an
outlier and its overlap by 5e-7 at most, relatively.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from rmtfl.gaussian import density
from rmtfl.given import GivenLayer
from rmtfl.setup import Setup
from rmtfl.weights.deformed import own

Array = NDArray[np.float64]

WHOLE = 200  # nodes kept one by one
TAIL = 40  # kept on each side in any case: the top of the bulk depends on a handful of them
GROWTH = 0.1  # a run's length relative to its distance from the end
COARSE = 0.2  # the same for the nodes that the error is taken from
BISECTIONS = 60  # of a range of labels: to rounding


def ranks(count: int, growth: float = GROWTH) -> tuple[Array, Array]:
    """Probabilities (i - 1/2)/count and their weights, i = 1 … count, merged in the middle if there are many."""
    if count <= WHOLE:
        return (np.arange(count) + 0.5) / count, np.full(count, 1 / count)
    edges = np.array(_runs(count, growth)) / count
    middle, half = (edges[1:] + edges[:-1]) / 2, np.diff(edges) / 2
    inner = np.column_stack([middle - half / np.sqrt(3), middle + half / np.sqrt(3)]).ravel()
    left = np.concatenate([(np.arange(TAIL) + 0.5) / count, inner])
    weight = np.concatenate([np.full(TAIL, 1 / count), np.repeat(half, 2)])
    return np.concatenate([left, 1 - left[::-1]]), np.concatenate([weight, weight[::-1]])


def _runs(count: int, growth: float) -> list[float]:
    """The ranks, from the tail to the middle, between which nodes are merged."""
    ends = [float(TAIL)]
    while ends[-1] < count / 2:
        ends.append(min(ends[-1] + max(2.0, growth * ends[-1]), count / 2))
    return ends


def _merged(values: Array, growth: float) -> tuple[Array, Array]:
    """Ascending values with equal weights, runs in the middle as two nodes each, of the run's mean and variance.

    Few distinct values are their own nodes.
    """
    count = values.size
    distinct, times = np.unique(values, return_counts=True)
    if distinct.size <= WHOLE:
        return distinct, times / count
    left = np.unique(np.array(_runs(count, growth)).astype(int))
    cuts = np.unique(np.concatenate([left, count - left]))
    runs = np.split(values[cuts[0] : cuts[-1]], cuts[1:-1] - cuts[0])
    inner = np.array([(run.mean() - run.std(), run.mean() + run.std()) for run in runs]).ravel()
    sizes = np.repeat([run.size / (2 * count) for run in runs], 2)
    tails = np.full(TAIL, 1 / count)
    return np.concatenate([values[:TAIL], inner, values[-TAIL:]]), np.concatenate([tails, sizes, tails])


def second_layer(law: str, count: int, growth: float = GROWTH) -> tuple[Array, Array]:
    """Nodes of ā and their weights, of mean 0 and variance 1.

    Args:
        law: gaussian, rademacher or uniform, or the ā_i themselves, of whatever mean and variance they have.
        count: N.
        growth: how fast merged runs lengthen.
    """
    if isinstance(law, GivenLayer):
        return _merged(np.sort(law.values), growth)
    if law == "rademacher":
        return np.array([-1.0, 1.0]), np.array([0.5, 0.5])
    u, weight = ranks(count, growth)
    nodes = gaussian(u) if law == "gaussian" else 2 * u - 1
    return nodes / np.sqrt(weight @ nodes**2), weight


@dataclass(frozen=True)
class Labels:
    """The labels y of a batch: nodes, weights, and the moments E[z | y], E[z² | y] of the target's coordinate.

    Of a batch that is given, each sample is a node, and g its coordinate along b^⊥, its own part in b included.
    """

    y: Array
    weight: Array
    z1: Array
    z2: Array
    g: Array | None = None


def labels(setup: Setup, count: int, growth: float = GROWTH) -> Labels:
    """The n = count quantiles of the law of y, or the labels of the first batch that is given.

    Without label noise the quantiles are the images of those of z; with it, the law of y is inverted.
    """
    if setup.data.batch is not None:
        z, g, y = own.coordinates(setup.data.batch, 0)
        return Labels(y, np.full(y.size, 1 / y.size), z, z * z, g)
    u, weight = ranks(count, growth)
    z = gaussian(u)
    clean, noise = setup.data.target.numpy()(z), float(setup.data.noise)
    if noise == 0:
        return Labels(clean, weight, z, z * z)
    y = _mixture_quantiles(u, clean, weight, noise)
    posterior = weight * density((y[:, None] - clean) / noise)
    posterior /= posterior.sum(axis=1, keepdims=True)
    return Labels(y, weight, posterior @ z, posterior @ (z * z))


def gaussian(u: Array) -> Array:
    """Quantiles of N(0, 1)."""
    # From the nearer end, where 1 - u still has its digits.
    return np.asarray(np.where(u < 0.5, ndtri(u), -ndtri(1 - u)))


def _mixture_quantiles(u: Array, centres: Array, weight: Array, spread: float) -> Array:
    """Quantiles of Σ weight N(centre, spread²), by bisection."""
    low = np.full(u.shape, centres.min() - 40 * spread)
    high = np.full(u.shape, centres.max() + 40 * spread)
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        below = ndtr((middle[:, None] - centres) / spread) @ weight < u
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.asarray((low + high) / 2)
