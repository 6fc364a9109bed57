"""Averages over a neuron that is trained twice on one batch.

On a sample of the batch a neuron has the preactivations h ~ N(0, 1) and, after the first step (theory/two-step.md,
`two-step.preactivation`),

    h⁽¹⁾ = κ h + √τ k + S (μ₁ G + φ y σ'(h)),    k ~ N(0, 1), τ = S² φ m₂ v₁, κ = 1 + S c₀ μ₂, S = s₁ ā.

The average over k is a function of the rest alone, for one ā: a spline, dense where √τ smooths a kink. The one over h
is the trapezoid rule, or panels graded around the kinks of σ. Breaks down where the self term is so large that σ'(h)
turns within a step of that rule: |S φ y| of 30 and more, which single samples of single neurons have.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from rmtfl.gaussian import rule
from rmtfl.links import Link
from rmtfl.weights import conditional, smoothing
from rmtfl.weights.deformed import slopes
from rmtfl.weights.statistics import Statistics

Array = NDArray[np.float64]

LEVEL = 1.0  # of the rules in h
REACH = 6.5  # of h: what lies beyond weighs 1e-10
SPACING = 0.05  # of the spline, and a sixth of the smoothed kink's width within it
INSIDE = np.linspace(-9.0, 9.0, 109)
BLOCK = 1 << 20  # values held at once


@dataclass(frozen=True)
class NeuronMoments:
    """Of σ(h⁽¹⁾) and σ'(h⁽¹⁾), given S (rows) and the sample (columns): each of shape (len(S), n).

    Attributes:
        value: E σ(h⁽¹⁾).
        mean: E σ'(h⁽¹⁾).
        along: E[h σ'(h⁽¹⁾)].
        across: E[k σ'(h⁽¹⁾)]/√τ.
        square: E σ'(h⁽¹⁾)².
        repeated: E[σ'(h) σ'(h⁽¹⁾)].
        value_along: E[h σ(h⁽¹⁾)]; E[k σ(h⁽¹⁾)]/√τ is the mean, by Gaussian integration by parts.
        value_repeated: E[σ'(h) σ(h⁽¹⁾)].
        value_square: E σ(h⁽¹⁾)².
        value_slope: E[σ(h⁽¹⁾) σ'(h⁽¹⁾)].
    """

    value: Array
    mean: Array
    along: Array
    across: Array
    square: Array
    repeated: Array
    value_along: Array
    value_repeated: Array
    value_square: Array
    value_slope: Array


def moments(link: Link, stats: Statistics, shift: Array, G: Array, y: Array) -> NeuronMoments:
    """The moments for a link σ at values of S and samples (G, y), G without the sample's own part in b."""
    result = np.empty((10, shift.size, G.size))
    for row, S in enumerate(shift):
        result[:, row] = _one(link, stats, float(S), G, y)
    return NeuronMoments(*result)


def _one(link: Link, stats: Statistics, S: float, G: Array, y: Array) -> Array:
    slope = link.derivative()
    kappa, width = 1 + S * stats.c0 * stats.mu2, abs(S) * stats.specific
    known, own = S * stats.mu1 * G, S * stats.phi * y
    furthest = float(np.max(np.abs(known)) + np.max(np.abs(own)) * conditional.steepest(link))
    if link.kinks:
        h, weight = conditional.graded(link.breakpoints, width, furthest, kappa, LEVEL)
    else:
        h, weight = rule((), LEVEL, REACH)
    slopes_at = slope.numpy()(h)
    reach = abs(kappa) * float(np.max(np.abs(h))) + furthest
    spline = _spline(link, width, reach)
    basis = np.column_stack([weight, weight * h, weight * slopes_at])
    result = np.empty((10, G.size))
    block = max(1, BLOCK // (6 * h.size))
    for start in range(0, G.size, block):
        part = slice(start, start + block)
        at = kappa * h + known[part, None] + own[part, None] * slopes_at
        value, mean, across, square, value_square, value_slope = np.moveaxis(spline(at), -1, 0)
        result[[0, 6, 7], part], result[[1, 2, 5], part] = (value @ basis).T, (mean @ basis).T
        result[3, part], result[4, part] = across @ weight, square @ weight
        result[8, part], result[9, part] = value_square @ weight, value_slope @ weight
    return result


def _spline(link: Link, width: float, reach: float) -> CubicSpline:
    """The function m ↦ (E σ, E σ', E[k σ']/√τ, E σ'², E σ², E[σ σ']) of m + √τ k on [-reach, reach]."""
    width = max(width, 1e-9)
    even = np.linspace(-reach, reach, 2 * int(np.ceil(reach / SPACING)) + 1)
    for cut in link.breakpoints:
        near = cut + width * INSIDE
        even = np.concatenate([even[np.abs(even - cut) > width * INSIDE[-1]], near])
    at = np.unique(even)
    value, _ = smoothing.smooth(link, at, np.full(at.shape, width), LEVEL)
    found = slopes.moments(link.derivative(), at, np.array(width))
    square = found.rest + found.mean**2 + (width * found.linear) ** 2
    values = slopes.moments(link, at, np.array(width))
    value_square = values.rest + values.mean**2 + (width * values.linear) ** 2
    value_slope = CubicSpline(at, value_square).derivative()(at) / 2
    return CubicSpline(at, np.column_stack([value, found.mean, found.linear, square, value_square, value_slope]))
