"""E σ(h⁽¹⁾) and E σ'(h⁽¹⁾) over a neuron, in closed form, for a piecewise-linear σ trained twice on one batch.

Between two kinks p < q of σ the self term is constant, so that h⁽¹⁾ = m + τ ξ with m = κ h + B is Gaussian given h, and
for a kink k of the outer σ, with t = (m − k)/τ, r² = κ² + τ², x = (B − k)/r,

    I₀ = ∫ φ(h) Φ(t) dh                        a difference of bivariate normal probabilities (Owen's T function),
    I₁ = ∫ φ(h) [(m − k) Φ(t) + τ φ(t)] dh  =  (B − k) I₀ − κ [φ(h) Φ(t)] + r φ(x) [Φ((τ² h + κ (m − k))/(τ r))],

integrals over (p, q). E σ' is the sum of slopes and jumps times I₀, E σ that of lines and jumps times I₁. The same
numbers come from quadrature in `rmtfl.weights.conditional`, which the tests hold against these.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, owens_t

from rmtfl.gaussian import density
from rmtfl.links import Link
from rmtfl.weights.smoothing import lines

Array = NDArray[np.float64]
Both = tuple[Array, Array]

NUDGE = 1e-300  # in place of an exact zero, so that its sign is defined; T(0, a) is continuous there
SMALLEST_SPREAD = 1e-60  # in place of a spread that vanishes: all within rounding of a limit that is continuous
FAR = 40.0  # beyond it every normal probability is 0 or 1


def conditional_means(link: Link, stretch: Array, shift: Array, spread: Array, self_shift: Array) -> Both:
    """(E σ(h⁽¹⁾), E σ'(h⁽¹⁾)) for h⁽¹⁾ = (1 + stretch) h + shift + self_shift σ'(h) + spread ξ, elementwise.

    Args:
        link: piecewise linear.
        stretch: κ − 1; apart from 1, so that nothing cancels where it is small.
        shift: what does not depend on h.
        spread: the standard deviation of what multiplies ξ.
        self_shift: the factor of the self term σ'(h).
    """
    slope0, intercept, jumps = lines(link)
    ends = [-FAR, *(cut for cut, _ in jumps), FAR]
    slopes = np.cumsum([slope0, *(jump for _, jump in jumps)])
    kappa, spread = 1 + stretch, np.maximum(spread, SMALLEST_SPREAD)
    radius = np.hypot(kappa, spread)
    value, derivative = np.zeros((2, *np.broadcast_shapes(shift.shape, self_shift.shape, spread.shape)))
    for left, right, inner in zip(ends[:-1], ends[1:], slopes, strict=True):
        base = shift + self_shift * inner
        mass = ndtr(right) - ndtr(left)
        moment = _phi(left) - _phi(right)  # ∫ h φ(h) dh
        value += (intercept + slope0 * base) * mass + slope0 * kappa * moment
        derivative += slope0 * mass
        for cut, jump in jumps:
            distance = base - cut
            x = distance / radius
            peak = radius * density(x)
            first, second = np.zeros(base.shape), np.zeros(base.shape)
            for end, sign in ((right, 1.0), (left, -1.0)):
                ahead = base + stretch * end + (end - cut)  # m − k at this end
                probability = _bivariate(x, end, ahead, kappa, spread, radius)
                first += sign * probability
                second -= sign * kappa * _phi(end) * ndtr(ahead / spread)
                second += sign * peak * ndtr((spread**2 * end + kappa * ahead) / (spread * radius))
            derivative += jump * first
            value += jump * (distance * first + second)
    return value, derivative


def _phi(x: float) -> float:
    return math.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)


def _bivariate(x: Array, end: float, ahead: Array, kappa: Array, spread: Array, radius: Array) -> Array:
    """∫_{-∞}^{end} φ(h) Φ((κ h + B − k)/τ) dh, by Owen's T function (Owen 1956, formula for the bivariate normal)."""
    if end <= -FAR:
        return np.zeros(x.shape)
    if end >= FAR:
        return np.asarray(ndtr(x))
    y = end if end else NUDGE
    nudged = np.where(x == 0, NUDGE, x)
    ahead = ahead + kappa * (y - end) + radius * (nudged - x)
    x = nudged
    with np.errstate(over="ignore"):
        from_x = (spread**2 * y + kappa * ahead) / (radius * x * spread)  # = (y r + κ x)/(x τ), cancelling nothing
        from_y = ahead / (y * spread)
    opposite = np.where((x < 0) != (y < 0), 0.5, 0.0)
    return np.asarray(0.5 * (ndtr(x) + ndtr(y)) - owens_t(x, from_x) - owens_t(y, from_y) - opposite)
