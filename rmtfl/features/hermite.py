"""Hermite coefficients of a link at many radii: s_k(r) = E[ĥ_k(h) f(r h)], ĥ_k = He_k/√k! orthonormal, h ~ N(0, 1).

The function u ↦ f(r u) then has the expansion Σ_k s_k(r) ĥ_k, and two Gaussians of standard deviations r, r' and
correlation ρ have E f(u) f(u') = Σ_k s_k(r) s_k(r') ρ^k (Mehler).

Smooth links go through the trapezoid rule in h, kinked ones through panels cut at kink/r. It breaks down for k beyond
`LARGEST`, where the coefficients' oscillations outrun the rules; the coefficients of an analytic link are rounding by
then. Checked in tests/features/test_operator.py against exact polynomials and the closed forms of relu.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from rmtfl.gaussian import density, legendre
from rmtfl.links import Link

Array = NDArray[np.float64]

LARGEST = 120  # of k: √LARGEST oscillations in unit length are a sixth of what the rules resolve
REACH = 14.0  # of h: φ^{1/2} there is 5e-22, and ĥ_k φ^{1/2} is of order one
STEP = 0.05  # of the trapezoid rule: exp(-2πω/h) for a pole at distance ω = 1/4 is 2e-14
PANEL, ORDER = 1.0, 16  # width of a panel, and its Gauss-Legendre nodes


def coefficients(link: Link, radius: Array, count: int) -> Array:
    """s_k(r) for k < count, of shape (count, len(radius)).

    Args:
        link: f.
        radius: r ≥ 0, one-dimensional.
        count: at most LARGEST.
    """
    h, weight = _nodes(link, radius)
    with np.errstate(over="ignore", invalid="ignore"):
        weighted = weight * link.numpy()(radius[:, None] * h)
    weighted[weight == 0] = 0.0
    found = np.empty((count, radius.size))
    before, now = np.zeros_like(h), np.ones_like(h)
    for k in range(count):
        found[k] = (weighted * now).sum(axis=1)
        before, now = now, (h * now - math.sqrt(k) * before) / math.sqrt(k + 1)
    return found


def second_moment(link: Link, radius: Array) -> Array:
    """E f(r h)² for each r."""
    h, weight = _nodes(link, radius)
    return np.asarray((weight * link.numpy()(radius[:, None] * h) ** 2).sum(axis=1))


def _nodes(link: Link, radius: Array) -> tuple[Array, Array]:
    """Nodes and weights of E f(r h) for each r, each of shape (len(radius), m)."""
    cuts = np.array(link.breakpoints)
    if cuts.size == 0:
        h = np.asarray(np.arange(-round(REACH / STEP), round(REACH / STEP) + 1) * STEP, dtype=np.float64)
        return np.broadcast_to(h, (radius.size, h.size)), np.broadcast_to(STEP * density(h), (radius.size, h.size))
    ends = np.clip(cuts / np.maximum(radius, 1e-300)[:, None], -REACH, REACH)
    outer = np.full((radius.size, 1), REACH)
    ends = np.concatenate([-outer, ends, outer], axis=1)
    nodes, weights = legendre(ORDER)
    count = math.ceil(2 * REACH / PANEL)
    fractions = ((np.arange(count)[:, None] + (nodes + 1) / 2) / count).ravel()
    lengths = np.diff(ends, axis=1)[:, :, None]
    h = (ends[:, :-1, None] + lengths * fractions).reshape(radius.size, -1)
    w = (lengths * np.tile(weights / (2 * count), count)).reshape(radius.size, -1)
    return h, w * density(h)
