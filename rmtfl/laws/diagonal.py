"""A self-consistent equation for the diagonal of a resolvent, solved at many points at once.

The unknowns are m_i(z), one a class of rows, with weights α_i; at every z in C⁺ there is one solution in C⁺, and
whatever converges there is right. Newton's method works on log m, from far above the axis down to it, each height a
quarter of the one before, which keeps to the right one of two roots that meet at an edge.

Written as G(m, z) = 0 with ∂G/∂log m = m K m - 1 + G, K_ih >= 0 on the axis: at a real z > 0 a real solution is the
limit from above exactly where the spectral radius of m_i K_ih m_h is below 1. With v = m'/m, v = m + (m K m) v makes
all m' > 0 if it is, and if m' > 0 it is, as there is then a positive vector that m K m shrinks (Perron). So a point off
the support carries its own proof. The equations themselves are `profile_equation` and `rmtfl.kernel.bulk`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmtfl.laws.base import Floats
from rmtfl.solve import Damped, FixedPoint, solve

Complexes = NDArray[Any]
EPS = 2.0**-53

#: Newton's steps at one height, and at the last.
STEPS, LAST_STEPS = 12, 30

#: Of a point on the axis, relative: how low Newton comes down before it is set onto the axis.
FLOOR = 1e-14

#: A guess is trusted if what it leads to has every phase at least this far from the axis.
CLEAR = 1e-6

#: A residual of so many roundings of its largest part is nothing but rounding.
ROUNDINGS = 4


@dataclass(frozen=True)
class Terms:
    """The equation's parts at m, shape (points, classes).

    Attributes:
        residual: G, relative to 1.
        noise: What rounding makes of it, one rounding each part.
        coupling: m_i K_ih m_h, shape (points, classes, classes).
    """

    residual: Complexes
    noise: Floats
    coupling: Complexes


class DiagonalEquation(ABC):
    """An equation for m_i(z); see the module."""

    @property
    @abstractmethod
    def size(self) -> int:
        """The number of classes."""

    @property
    @abstractmethod
    def bound(self) -> float:
        """A bound on the support."""

    @abstractmethod
    def terms(self, z: Complexes, m: Complexes) -> Terms:
        """Return the equation's parts at z, shape (points,), and m, shape (points, classes)."""

    def correction(self, terms: Terms) -> Complexes:
        """Return Newton's correction of log m."""
        matrix = -terms.coupling
        diagonal = np.arange(self.size)
        matrix[:, diagonal, diagonal] += 1 - terms.residual
        return np.asarray(np.linalg.solve(matrix, terms.residual[:, :, None])[:, :, 0])

    def _newton(self, z: Complexes, m: Complexes, steps: int, tolerance: float) -> Complexes:
        """Return m after Newton's steps on log m; real m stay real, and phases stay in (0, π)."""
        shape, sign = m.shape, np.where(m.imag == 0, np.sign(m.real), 1.0)
        real = not m.imag.any()

        def step(flat: Complexes) -> Complexes:
            log = flat.reshape(shape)
            terms = self.terms(z, sign * np.exp(log))
            change = self.correction(terms)
            done = np.all(np.abs(terms.residual) <= ROUNDINGS * terms.noise, axis=1)
            change = np.where(done[:, None] | ~np.isfinite(change), 0.0, change)
            # A step is cut where it would leave the domain, or change a logarithm by more than 1.
            with np.errstate(divide="ignore", invalid="ignore"):
                room = np.where(change.imag > 0, np.pi - log.imag, log.imag) / np.abs(change.imag)
                most = np.minimum(1.0, 1 / np.abs(change).max(axis=1))
            if not real:
                most = np.minimum(most, 0.9 * np.nanmin(np.where(change.imag == 0, np.inf, room), axis=1))
            return np.asarray((log + most[:, None] * change).ravel())

        start = np.log(m / sign)
        found = solve(FixedPoint(step), Damped(), start.ravel(), tolerance=tolerance, max_steps=steps, throw=False)
        return np.asarray(sign * np.exp(found.value.reshape(shape)))

    def above(self, z: Complexes) -> Complexes:
        """Return m just above 1-D z ≠ 0: at z itself in C⁺, at a height of FLOOR |z| over the real axis."""
        lift = np.where(z.imag > 0, 0.0, FLOOR * np.abs(z))
        least = float(np.min(np.where(z.imag > 0, 0.1 * z.imag, lift), initial=self.bound))
        height = 4 * max(self.bound, float(np.max(np.abs(z), initial=0.0)))
        m = np.tile((-1 / (z + 1j * height))[:, None], self.size)
        while height > least:
            m = self._newton(z + 1j * np.maximum(height, lift), m, STEPS, 1e-6)
            height /= 4
        return self._newton(z + 1j * lift, m, LAST_STEPS, 1e-15)

    def limit(self, z: Complexes, guess: Complexes | None = None) -> Complexes:
        """Return m at 1-D z ≠ 0 in C⁺ or, as a limit, inside the support; from a guess where that serves."""
        m = np.empty((z.size, self.size), complex)
        left = np.ones(z.size, bool)
        if guess is not None:
            m = self._newton(z, guess, STEPS, 1e-15)
            phase = np.angle(m)
            terms = self.terms(z, m)
            solved = np.abs(terms.residual) <= 8 * ROUNDINGS * terms.noise
            left = ~np.all(solved & (phase > CLEAR) & (phase < np.pi - CLEAR), axis=1)
        if left.any():
            m[left] = self._newton(z[left], self.above(z[left]), LAST_STEPS, 1e-15)
        return m

    def outside(self, x: Floats, start: Complexes) -> tuple[Complexes, NDArray[np.bool_]]:
        """Return the real solution next to a start, and where it proves that x is off the support."""
        m = self._newton(x + 0j, start.real + 0j, LAST_STEPS, 1e-15)
        terms = self.terms(x + 0j, m)
        solved = np.all(np.abs(terms.residual) <= 16 * terms.noise, axis=1)
        return m, np.asarray(solved & ((x < 0) | (radius(terms) < 1)))


def radius(terms: Terms) -> Floats:
    """Return the spectral radius of m K m."""
    finite = np.asarray(np.isfinite(terms.coupling).all(axis=(1, 2)))
    values = np.linalg.eigvals(np.where(finite[:, None, None], terms.coupling, 0.0))
    return np.asarray(np.where(finite, np.abs(values).max(axis=1), np.inf))
