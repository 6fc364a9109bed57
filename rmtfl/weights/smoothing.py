"""A link and its derivative averaged over a Gaussian: E f(m + τξ) and E f'(m + τξ), ξ ~ N(0, 1), for arrays of m and τ.

Three roads, one interface. A smooth link goes through the trapezoid rule in ξ. A piecewise-linear link has closed
forms (f' jumps by J at k: E f' = slope + Σ J Φ(t), E f = line + Σ J τ (tΦ(t) + φ(t)), t = (m − k)/τ). Any other
kinked link is cut into panels at ξ = (k − m)/τ, for each m by itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import sympy as sp
from numpy.typing import NDArray
from scipy.special import ndtr

from rmtfl.functions import NUMPY
from rmtfl.gaussian import density, legendre, rule
from rmtfl.links import Link, fast
from rmtfl.pieces import X

Array = NDArray[np.float64]
Both = tuple[Array, Array]

REACH = 9.0  # of ξ: what lies beyond weighs 1e-19
SHARP = 1e-300  # a spread below it is a sharp kink
BLOCK = 1 << 16  # points evaluated at once: a few arrays of this size stay in cache


def smooth(link: Link, mean: Array, spread: Array, level: float) -> Both:
    """(E f(m + τξ), E f'(m + τξ)), of the broadcast shape of mean and spread; levels refine the quadrature."""
    mean, spread = np.asarray(mean, dtype=float), np.asarray(spread, dtype=float)
    if not link.kinks:
        mean, spread = np.broadcast_arrays(mean, spread)
        return _analytic(link, mean, spread, level)
    if link.is_piecewise_linear:
        return _piecewise_linear(link, mean, spread)
    mean, spread = np.broadcast_arrays(mean, spread)
    return _cut(link, mean, spread, level)


def value_and_derivative(link: Link) -> Callable[[Array], Both]:
    """A vectorised function giving f and f' of an array at once, with common subexpressions shared."""
    return _value_and_derivative(link)


@lru_cache(maxsize=128)
def _value_and_derivative(link: Link) -> Callable[[Array], Both]:
    if link.kinks:
        value, slope = link.numpy(), link.derivative().numpy()
        return lambda x: (value(x), slope(x))
    piece = link.pieces[0]
    both = sp.lambdify(X, [fast(piece), fast(sp.diff(piece, X))], modules=[NUMPY, "numpy"], cse=True)

    def evaluate(x: Array) -> Both:
        value, slope = (np.broadcast_to(f, x.shape) for f in both(x))  # a constant comes as one number
        return value, slope

    return evaluate


def _analytic(link: Link, mean: Array, spread: Array, level: float) -> Both:
    both = value_and_derivative(link)
    x, w = rule((), level, REACH)
    flat_mean, flat_spread = mean.ravel(), spread.ravel()
    value, slope = np.empty(mean.size), np.empty(mean.size)
    block = max(1, BLOCK // x.size)
    for start in range(0, mean.size, block):
        part = slice(start, start + block)
        f, df = both(flat_mean[part, None] + flat_spread[part, None] * x)
        value[part], slope[part] = f @ w, df @ w
    return value.reshape(mean.shape), slope.reshape(mean.shape)


def _piecewise_linear(link: Link, mean: Array, spread: Array) -> Both:
    slope0, intercept, jumps = lines(link)
    value, slope = intercept + slope0 * mean, np.full(mean.shape, slope0)
    spread = np.maximum(spread, SHARP)
    for cut, jump in jumps:
        distance = mean - cut
        t = distance / spread
        above = ndtr(t)
        slope += jump * above
        above *= distance
        t *= t
        t *= -0.5
        above += np.exp(t) * (spread / math.sqrt(2 * math.pi))
        value += jump * above
    return value, slope


@lru_cache(maxsize=128)
def lines(link: Link) -> tuple[float, float, list[tuple[float, float]]]:
    """The first line (slope, intercept) and the jumps of slope (where, how much) of a piecewise-linear link."""
    first = sp.Poly(link.pieces[0], X)
    jumps = [(cut, float(link.jump(index, 1))) for index, cut in enumerate(link.breakpoints)]
    return float(first.coeff_monomial(X)), float(first.coeff_monomial(1)), jumps


def _cut(link: Link, mean: Array, spread: Array, level: float) -> Both:
    both = value_and_derivative(link)
    shape, mean, spread = mean.shape, mean.reshape(-1, 1), spread.reshape(-1, 1)
    cuts = np.array(link.breakpoints)
    safe = np.maximum(spread, 1e-300)
    with np.errstate(over="ignore"):
        ends = np.clip((cuts - mean) / safe, -REACH, REACH)
    ends = np.concatenate([np.full_like(mean, -REACH), ends, np.full_like(mean, REACH)], axis=1)
    nodes, weights = legendre(12 + round(4 * level))
    count = 4
    fractions = ((np.arange(count)[:, None] + (nodes + 1) / 2) / count).ravel()
    fraction_weights = np.tile(weights / (2 * count), count)
    value, slope = np.zeros(mean.shape[0]), np.zeros(mean.shape[0])
    for left, length in zip(ends[:, :-1].T, np.diff(ends, axis=1).T, strict=True):
        x = left[:, None] + length[:, None] * fractions
        w = length[:, None] * fraction_weights * density(x)
        f, df = both(mean + spread * x)
        value, slope = value + (w * f).sum(axis=1), slope + (w * df).sum(axis=1)
    return value.reshape(shape), slope.reshape(shape)
