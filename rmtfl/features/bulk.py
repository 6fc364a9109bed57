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
from scipy.optimize import minimize_scalar

Array = NDArray[np.float64]

NEWTON = 200  # steps; it converges monotonically, and only next to where no solution is left slowly
CONVERGED = 1e-14
NOWHERE = 1e30  # in place of z where there is no solution: beyond any z of the branch


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
        """The upper edge."""
        scale = self.sample_ratio / self.width_ratio * float(np.max(self.residual + self.linear**2))
        scale += self.sample_ratio * float(self.weight @ self.linear**2) + 1e-300

        def height(log_x: float) -> float:
            point = self.at(math.exp(log_x))
            return point.z if point else NOWHERE

        # z → ∞ as x → 0, and there is no solution from 1/scale on; in between z falls to the edge and rises.
        low, high = math.log(1e-4 / scale), math.log(1 / scale)
        grid = np.linspace(low, high, 65)
        k = int(np.argmin([height(t) for t in grid]))
        found = minimize_scalar(
            height, bounds=(grid[max(k - 1, 0)], grid[min(k + 1, 64)]), method="bounded", options={"xatol": 1e-11}
        )
        best = self.at(math.exp(float(found.x)))
        assert best is not None
        return best
