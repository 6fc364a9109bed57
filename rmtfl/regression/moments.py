"""What the equivalent of the features asks of the activation: E σ, E σ', E σ'' and E σ² at N(m, ρ²).

Three roads, as in `rmtfl.weights.smoothing`: one pass of the trapezoid rule for a smooth activation, closed forms for a
piecewise-linear one, panels cut at the kinks for any other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from rmtfl.features.spread import square
from rmtfl.gaussian import density, rule
from rmtfl.links import Link
from rmtfl.weights.deformed import slopes
from rmtfl.weights.smoothing import BLOCK, REACH, lines, smooth, value_and_derivative

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Moments:
    """E σ, E σ', E σ'' and E σ², each of the shape of m; E σ'' with what the kinks of σ contribute."""

    value: Array
    slope: Array
    curvature: Array
    square: Array


def moments(activation: Link, mean: Array, spread: Array, level: float) -> Moments:
    """The moments at N(mean, spread²).

    Args:
        activation: σ.
        mean: m, any shape.
        spread: ρ > 0, of a shape that broadcasts with it.
        level: refinement of the quadrature.
    """
    mean, spread = np.broadcast_arrays(mean, spread)
    if not activation.kinks:
        return _analytic(activation, mean, spread, level)
    if activation.is_piecewise_linear:
        return _piecewise_linear(activation, mean, spread)
    value, slope = smooth(activation, mean, spread, level)
    curvature = slopes.moments(activation.derivative(), mean, spread).linear
    return Moments(value, slope, curvature, smooth(square(activation), mean, spread, level)[0])


def _analytic(link: Link, mean: Array, spread: Array, level: float) -> Moments:
    both = value_and_derivative(link)
    x, weight = rule((), level, REACH)
    columns = np.column_stack([weight, x * weight])
    found = np.empty((4, mean.size))
    size = max(1, BLOCK // x.size)
    for start in range(0, mean.size, size):
        part = slice(start, start + size)
        width = spread.flat[part]
        f, df = both(mean.flat[part][:, None] + width[:, None] * x)
        slope, linear = (df @ columns).T
        found[:, part] = f @ weight, slope, linear / width, (f * f) @ weight
    return Moments(*found.reshape(4, *mean.shape))


def _piecewise_linear(link: Link, mean: Array, spread: Array) -> Moments:
    """With u = x − k beyond a kink k, σ gains J u there and σ² gains 2 σ(k) J u + (2 σ'(k⁻) J + J²) u²."""
    slope0, intercept, jumps = lines(link)
    line = intercept + slope0 * mean
    value, slope, curvature = line, np.full(mean.shape, slope0), np.zeros(mean.shape)
    square = line**2 + (slope0 * spread) ** 2
    before = slope0
    for index, (cut, jump) in enumerate(jumps):
        height = intercept + slope0 * cut + sum(j * (cut - k) for k, j in jumps[:index])
        t = (mean - cut) / spread
        above, peak = ndtr(t), density(t)
        first, second = spread * (t * above + peak), spread**2 * ((t * t + 1) * above + t * peak)
        value = value + jump * first
        slope = slope + jump * above
        curvature = curvature + jump * peak / spread
        square = square + 2 * height * jump * first + (2 * before * jump + jump**2) * second
        before += jump
    return Moments(value, slope, curvature, square)
