"""Moments of σ' over a neuron, and their separation in the second-layer weight and the sample.

The second step sees the neurons after the first: on a sample of a fresh batch their preactivation is Gaussian given the
second-layer weight, h⁽¹⁾ = m + √τ t. Of σ'(h⁽¹⁾) it takes the mean, the part linear in t (by Gaussian integration by
parts the derivative of the mean in m) and the variance of the rest. As functions of (a, sample) they are smooth in a
and of small rank: each is sampled at Chebyshev nodes in a, split by a singular value decomposition, and interpolated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BarycentricInterpolator

from rmtfl.gaussian import density, legendre, rule
from rmtfl.links import Link

Array = NDArray[np.float64]

REACH = 9.0  # of the neuron's Gaussian: what lies beyond weighs 1e-19
LEVEL = 1.0  # of the trapezoid rule for an activation without kinks: the nodes' own error is far larger
PIECES, ORDER = 3, 12  # Gauss-Legendre panels, and nodes in each, between kinks
CHEBYSHEV = 24  # nodes in a


@dataclass(frozen=True)
class Moments:
    """E σ', E[t σ']/√τ and Var σ' - τ (E[t σ']/√τ)² of σ'(m + √τ t), of the shape of m."""

    mean: Array
    linear: Array
    rest: Array


def moments(slope: Link, mean: Array, spread: Array) -> Moments:
    """The moments of a link σ' over N(mean, spread²), cut at its kinks.

    Args:
        slope: σ'.
        mean: m, any shape.
        spread: √τ > 0, of a shape that broadcasts with it.
    """
    mean, spread = np.broadcast_arrays(mean, spread)
    flat, width = mean.reshape(-1, 1), spread.reshape(-1, 1)
    t, weight = _rule(np.array(slope.breakpoints), flat, width)
    values = slope.numpy()(flat + width * t)
    first = (weight * values).sum(axis=1)
    linear = (weight * t * values).sum(axis=1) / width[:, 0]
    square = (weight * values * values).sum(axis=1)
    rest = np.maximum(square - first**2 - (width[:, 0] * linear) ** 2, 0.0)
    return Moments(first.reshape(mean.shape), linear.reshape(mean.shape), rest.reshape(mean.shape))


def covariance(link: Link, mean: Array, spread: Array) -> Array:
    """Cov(σ, σ') - τ E σ' (E[t σ']/√τ) at m + √τ t: what their parts beyond the linear one in t have in common.

    Args:
        link: σ.
        mean: m, any shape.
        spread: √τ > 0, of a shape that broadcasts with it.
    """
    mean, spread = np.broadcast_arrays(mean, spread)
    flat, width = mean.reshape(-1, 1), spread.reshape(-1, 1)
    t, weight = _rule(np.array(link.breakpoints), flat, width)
    values, slopes = link.numpy()(flat + width * t), link.derivative().numpy()(flat + width * t)
    value, slope, linear = ((weight * x).sum(axis=1) for x in (values, slopes, t * slopes))
    along = (weight * t * values).sum(axis=1)
    return np.asarray(((weight * values * slopes).sum(axis=1) - value * slope - along * linear).reshape(mean.shape))


def _rule(cuts: Array, mean: Array, spread: Array) -> tuple[Array, Array]:
    """Nodes and weights in t, one row a mean, or one row for all where nothing is cut."""
    if cuts.size == 0:
        t, weight = rule((), LEVEL, REACH)
        return t[None, :], weight[None, :]
    ends = np.clip((cuts - mean) / spread, -REACH, REACH)
    ends = np.concatenate([np.full_like(mean, -REACH), ends, np.full_like(mean, REACH)], axis=1)
    nodes, weights = legendre(ORDER)
    fractions = ((np.arange(PIECES)[:, None] + (nodes + 1) / 2) / PIECES).ravel()
    lengths = np.diff(ends, axis=1)[:, :, None]
    t = (ends[:, :-1, None] + lengths * fractions).reshape(mean.shape[0], -1)
    weight = (lengths * np.tile(weights / (2 * PIECES), PIECES)).reshape(mean.shape[0], -1)
    return t, weight * density(t)


def grid(a: Array, *, cut: bool = False) -> Array:
    """Where functions of a are sampled: Chebyshev nodes over the range of the second-layer nodes, or these if few.

    Args:
        a: the second-layer nodes.
        cut: whether the functions may have a kink at a = 0; then half of the nodes are on either side.
    """
    if a.size <= CHEBYSHEV:
        return a
    if not cut:
        return np.asarray(np.max(np.abs(a)) * _chebyshev(CHEBYSHEV))
    half = np.max(np.abs(a)) * (1 + _chebyshev(CHEBYSHEV // 2)) / 2
    return np.concatenate([half, -half])


def _chebyshev(count: int) -> Array:
    return np.asarray(np.cos(np.pi * (np.arange(count) + 0.5) / count))


def interpolate(values: Array, at: Array, a: Array, *, cut: bool = False) -> Array:
    """Values given at `grid(a)`, shape (len(at), ...), at the second-layer nodes.

    Chebyshev's nodes: barycentric interpolation is stable.
    """
    if at is a or values.shape[1] == 0:
        return values if at is a else np.zeros((a.size, *values.shape[1:]))
    if not cut:
        return np.asarray(BarycentricInterpolator(at, values, rng=0)(a))
    result = np.empty((a.size, *values.shape[1:]))
    for side in (1, -1):
        here, nodes = side * a >= 0, side * at > 0
        result[here] = BarycentricInterpolator(at[nodes], values[nodes], rng=0)(a[here])
    return result


@dataclass(frozen=True)
class Separated:
    """f(a, sample) = Σ_l left[:, l] right[l, :]: left at the second-layer nodes, right at the samples."""

    left: Array
    right: Array

    @property
    def rank(self) -> int:
        """The number of terms."""
        return int(self.right.shape[0])


def separate(values: Array, at: Array, a: Array, cutoff: float, largest: int, *, cut: bool = False) -> Separated:
    """Separate values given at `grid(a)`, shape (len(at), n).

    Args:
        values: of the function.
        at: `grid(a)`.
        a: the second-layer nodes.
        cutoff: singular values below this part of the first are left out.
        largest: the rank is at most this.
        cut: as for `grid`.
    """
    left, singular, right = np.linalg.svd(values, full_matrices=False)
    rank = min(int(np.sum(singular > cutoff * singular[0])), largest) if singular[0] > 0 else 0
    return Separated(interpolate(left[:, :rank] * singular[:rank], at, a, cut=cut), right[:rank])
