"""The bulk of the conjugate kernel of a layer whose neurons differ: z as a function of the transform Q, and the edge.

Features less their mean are F' = X' U^T + residual, X' (ñ × d) standard Gaussian, neuron i of linear part q(a_i) u_i,
u_i ~ N(0, I/d), and residual variance v(a_i). With Q = (1/ñ) tr (F'F'^T/N − z)^{-1}, T = (ñ/d) Q, γ̃ = ñ/N, ψ = N/d
(theory/features.md, `features.bulk`)

    1 + δ(a) = 1 + γ̃ v Q + (q²/ψ) T/(1 + cT),    c = E_a[q²/(1 + δ)],
    z = E_a[v/(1 + δ)] + c/(1 + cT) − 1/Q.

With equal neurons this is the generalized Marchenko–Pastur law of q² MP_ψ + v (`rmtfl.laws.random_features`), against
which it is tested. Right of the bulk x = −Q > 0 falls from the edge, where z(x) has its minimum, to 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

NEWTON = 200  # steps; it converges monotonically, and only next to where no solution is left slowly
CONVERGED = 1e-14
BISECTIONS = 52  # of log x: to rounding


@dataclass(frozen=True)
class Point:
    """The bulk's transforms right of it.

    Attributes:
        x: −Q.
        z: the eigenvalue.
        load: 1/(1 + δ(a)), shape (m,).
        linear: c.
    """

    x: float
    z: float
    load: Array
    linear: float


@dataclass(frozen=True)
class Bulk:
    """The bulk of a layer; see the module.

    Attributes:
        weight: masses of the neurons, shape (m,).
        linear: q(a), shape (m,).
        residual: v(a), shape (m,).
        width_ratio: ψ = N/d.
        sample_ratio: ñ/d of the fresh samples.
    """

    weight: Array
    linear: Array
    residual: Array
    width_ratio: float
    sample_ratio: float

    def at(self, x: float) -> Point | None:
        """The point of transform Q = −x; None left of the edge's branch, where there is no solution."""
        squares, rate = self.linear**2, self.sample_ratio * x
        c = float(self.weight @ squares)
        for _ in range(NEWTON):
            free = 1 - rate * c
            if free <= 0:
                return None
            left = 1 - rate / self.width_ratio * (self.residual + squares / free)
            if left.min() <= 0:
                return None
            value = float(self.weight @ (squares / left))
            slope = float(self.weight @ (squares / left) ** 2) * rate**2 / (self.width_ratio * free**2)
            if slope >= 1:
                return None
            step = (value - c) / (1 - slope)
            c += step
            if abs(step) <= CONVERGED * c:
                z = float(self.weight @ (self.residual / left)) + c / (1 - rate * c) + 1 / x
                return Point(x, z, 1 / left, c)
        return None

    @cached_property
    def edge(self) -> Point:
        """The upper edge: where z, which falls from infinity at x = 0, turns."""
        largest = float(np.max(self.residual + self.linear**2)) / self.width_ratio
        # From here on a 1/(1 + δ), or 1 + cT, would be negative.
        high = -math.log(self.sample_ratio * max(largest, float(self.weight @ self.linear**2), 1e-300))
        low = high - 1
        while (point := self._falling(low)) is None:
            low, high = low - 2 * (high - low), low
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            further = self._falling(middle)
            if further is None:
                high = middle
            else:
                low, point = middle, further
        return point

    def _falling(self, log_x: float) -> Point | None:
        """The point at x if z falls there, None from the edge on."""
        point = self.at(math.exp(log_x))
        if point is None:
            return None
        squares, rate, c, load = self.linear**2, self.sample_ratio * point.x, point.linear, point.load
        free, psi = 1 - rate * c, self.width_ratio
        # Of c and 1/load by the rate, from their equations in `at`.
        given = (self.residual + squares / free + rate * squares * c / free**2) / psi
        slope = float(self.weight @ (squares * load) ** 2) * rate**2 / (psi * free**2)
        rise = float(self.weight @ (squares * load**2 * given)) / (1 - slope)
        fall = given + rate**2 / psi * squares * rise / free**2
        turn = float(self.weight @ (self.residual * load**2 * fall)) + (rise + c**2) / free**2
        return point if slope < 1 and turn * rate < 1 / point.x else None
