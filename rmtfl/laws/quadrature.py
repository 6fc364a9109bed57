"""The distribution function of a law from its density: a Chebyshev series in the angle that takes the square roots out.

On an interval x = low + (high - low) sin²(θ/2); density(x) dx/dθ is analytic on [0, π], also where the density is
infinite like a square root. It is taken at `NODES` points once, and its series integrated.
"""

from __future__ import annotations

from abc import abstractmethod
from functools import cached_property

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import ArrayLike

from rmtfl.laws.base import Evaluation, Floats, Law

#: Nodes an interval.
NODES = 200


class Primitive:
    """The distribution function of a law, to about 1e-12 unless bulks nearly touch.

    Args:
        law: Its density is taken here.
    """

    def __init__(self, law: Law) -> None:
        self.law = law
        phase = np.pi * (np.arange(NODES) + 0.5) / NODES
        angle = 0.5 * np.pi * (np.cos(phase) + 1)
        to_series = 2 / NODES * np.cos(np.outer(np.arange(NODES), phase))
        to_series[0] /= 2
        self.series = []
        for low, high in law.support:
            x = low + (high - low) * np.sin(angle / 2) ** 2
            rate = law.density(x) * (high - low) * np.sin(angle) / 2
            self.series.append(chebyshev.chebint(to_series @ rate, scl=0.5 * np.pi, lbnd=-1))

    def __call__(self, x: ArrayLike) -> Floats:
        """Return the distribution function at x, of any shape, atoms included."""
        points = np.asarray(x, float)
        total = sum((mass * (points >= place) for place, mass in self.law.atoms), np.zeros(points.shape))
        for (low, high), series in zip(self.law.support, self.series, strict=True):
            part = np.clip((points - low) / (high - low), 0.0, 1.0)
            total = total + chebyshev.chebval(4 / np.pi * np.arcsin(np.sqrt(part)) - 1, series)
        return np.asarray(total)


class EvaluatedLaw(Law):
    """A law whose density comes with errors, and whose distribution function is that density's quadrature."""

    @abstractmethod
    def evaluate(self, x: ArrayLike) -> Evaluation:
        """Return the density of the continuous part at real x, any shape, with an estimate of each relative error."""

    def density(self, x: ArrayLike) -> Floats:
        """Return the density of the continuous part at real x, any shape; see `evaluate` for its error."""
        return self.evaluate(x).value

    def cdf(self, x: ArrayLike) -> Floats:
        """Return the distribution function, by quadrature: to about 1e-12 unless bulks nearly touch."""
        return self._primitive(x)

    @cached_property
    def _primitive(self) -> Primitive:
        return Primitive(self)
