"""How many feature spikes grow with N, in exact arithmetic, and their leading order.

The part of the features that is of degree k in ā has an eigenvalue of order N^{1 − 2k(1/2 − α)}, α the largest exponent
of the steps: it grows iff α > (k − 1)/(2k), so that ℓ spikes do for (ℓ − 1)/(2ℓ) < α < ℓ/(2ℓ + 2). At the boundaries
the next one is of order one, and the edge of the bulk decides. The mean spike, k = 0, is beside these
(theory/features.md, `features.count`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from math import factorial

import numpy as np
from numpy.typing import NDArray

from rmtfl.setup import Setup
from rmtfl.weights import second_layer
from rmtfl.weights.statistics import Statistics

Array = NDArray[np.float64]

MOST_LISTED = 24  # of the spikes of the limit: α = 23/48
NOTHING = 1e-10  # of a Gram-Schmidt residual, relative to the vector: rounding


@dataclass(frozen=True)
class Count:
    """The exact count.

    Attributes:
        alpha: the largest step exponent.
        spikes: ℓ, the spikes k ≥ 1 that grow with N when every Hermite coefficient they need is there.
        critical: whether the next one is exactly of order one.
    """

    alpha: Fraction
    spikes: int
    critical: bool

    def exponent(self, k: int) -> Fraction:
        """Of the k-th eigenvalue, 1 − 2k(1/2 − α)."""
        return 1 - k * (1 - 2 * self.alpha)


def count(*alpha: Fraction) -> Count:
    """The count for step exponents in [0, 1/2)."""
    largest = max(alpha)
    ratio = 1 / (1 - 2 * largest)  # the k of an eigenvalue of order one
    critical = ratio.denominator == 1
    return Count(largest, int(ratio) - 1 if critical else math.floor(ratio), critical)


@dataclass(frozen=True)
class LeadingSpike:
    """A spike as N → ∞: its eigenvalue is constant · N^exponent.

    Attributes:
        k: its power of ā; 0 for the mean spike.
        exponent: exact.
        constant: all scales included; None where several terms of two steps are of the same order.
        vanishes: why the constant is 0, or None.
    """

    k: int
    exponent: Fraction
    constant: float | None
    vanishes: str | None


def leading(setup: Setup, stats: Statistics, coefficients: Array, samples: float) -> list[LeadingSpike]:
    """The spikes that do not vanish as N → ∞, k = 0 first.

    Args:
        setup: what is trained.
        stats: its moments.
        coefficients: s_k = E[ĥ_k σ], more than twice as many as there are spikes.
        samples: ñ/d.
    """
    found = count(*setup.training.alpha)
    last = min(found.spikes + found.critical, MOST_LISTED)
    scales = [
        float(e) for e, alpha in zip(setup.training.scale, setup.training.alpha, strict=True) if alpha == found.alpha
    ]
    moments = [float(second_layer.moment(setup.network.second_layer, k)) for k in range(2 * last + 1)]
    left = np.array([[moments[i + j] for j in range(last + 1)] for i in range(last + 1)])
    functions = _right_functions(stats, coefficients, last)
    right = functions @ functions.T
    listed, present = [], list[int]()
    for k in range(last + 1):
        own, shared = _residual(right, k, present), _residual(left, k, present)
        reason = None
        if own == 0:
            reason = f"E He_{k} sigma = 0, or lower spikes hold its function of a sample"
        elif shared == 0:
            reason = "the law of the second layer has too few support points"
        else:
            present.append(k)
        constant = samples / stats.psi * sum(scales) ** (2 * k) * shared * own
        alone = len(scales) == 1 or k == 0
        listed.append(LeadingSpike(k, found.exponent(k), constant if alone or reason else None, reason))
    return listed


def _right_functions(stats: Statistics, coefficients: Array, last: int) -> Array:
    """R_k in Hermite coordinates, row k, where K(a, t) = Σ_k S^k R_k(t) after one step, S = s₁ ā."""
    linear = stats.c0 * stats.mu2
    square = linear**2 + stats.specific**2 + (stats.mu1 * stats.tau) ** 2
    excess = np.polynomial.Polynomial([0.0, 2 * linear, square])  # r² − 1
    moments = [coefficients[k] * math.sqrt(factorial(k)) for k in range(2 * last + 1)]
    rows = np.zeros((last + 1, last + 1))
    for j in range(last + 1):
        series = np.polynomial.Polynomial([0.0])
        for i in range((2 * last - j) // 2 + 1):
            series = series + moments[j + 2 * i] / (2**i * factorial(i)) * excess**i
        part = np.zeros(last + 1 - j)
        known = series.coef[: part.size]
        part[: known.size] = known
        rows[j:, j] = part * (stats.mu1 * stats.tau) ** j / math.sqrt(factorial(j))
    return rows


def _residual(gram: Array, k: int, present: list[int]) -> float:
    """The squared part of vector k across those present, from their Gram matrix; 0 where it is rounding."""
    square = float(gram[k, k])
    if present:
        across = gram[present, k]
        square -= float(across @ np.linalg.solve(gram[np.ix_(present, present)], across))
    return square if square > NOTHING * max(float(gram[k, k]), 1e-16) else 0.0
