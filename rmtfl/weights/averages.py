"""Averages of an activation and its derivatives over one Gaussian: E σ, E σ', E σ'' and E σ'² at m + √τ ξ.

E σ'' is E[ξ σ']/√τ, by Gaussian integration by parts: it is what a kinked activation has too.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rmtfl.gaussian import density, legendre, rule
from rmtfl.links import Link
from rmtfl.weights.smoothing import REACH, value_and_derivative

Array = NDArray[np.float64]

LEVEL = 3.0  # of the trapezoid rule for an activation without kinks: poles at a distance of π/2 cost 1e-13 at τ = 1
PIECES, ORDER = 6, 16  # Gauss-Legendre panels between kinks, and nodes in each: 1e-15


def averages(link: Link, mean: Array, spread: float) -> Array:
    """(E σ, E σ', E σ'', E σ'²) for x ~ N(m, spread²), of shape (4, len(mean)).

    Args:
        link: the activation σ.
        mean: values of m, shape (p,).
        spread: the standard deviation, positive.
    """
    t, weight = _rule(np.array(link.breakpoints), mean, spread)
    f, df = value_and_derivative(link)(mean[:, None] + spread * t)
    return np.array([(weight * v).sum(axis=1) for v in (f, df, t * df / spread, df * df)])


def _rule(cuts: Array, mean: Array, spread: float) -> tuple[Array, Array]:
    """Nodes and weights in ξ, one row a mean, or one row for all where nothing is cut."""
    if cuts.size == 0:
        t, weight = rule((), LEVEL, REACH)
        return t[None, :], weight[None, :]
    ends = np.clip((cuts - mean[:, None]) / spread, -REACH, REACH)
    ends = np.pad(ends, ((0, 0), (1, 1)), constant_values=(-REACH, REACH))
    nodes, weights = legendre(ORDER)
    fractions = ((np.arange(PIECES)[:, None] + (nodes + 1) / 2) / PIECES).ravel()
    lengths = np.diff(ends, axis=1)[:, :, None]
    t = (ends[:, :-1, None] + lengths * fractions).reshape(mean.size, -1)
    return t, (lengths * np.tile(weights / (2 * PIECES), PIECES)).reshape(mean.size, -1) * density(t)
