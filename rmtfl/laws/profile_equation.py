"""The equation of a block variance profile, solved at many points at once.

For Y of shape p x n whose entries of classes (i, j) have variance s_ij/n, rows in classes of shares α_i, columns in
classes of shares β_j, the diagonal m_i of the resolvent of Y Y^T solves, with B_ij = β_j s_ij and C_ji = γ α_i s_ij,

    1/m_i + z = Σ_j B_ij/b_j,   b_j = 1 + Σ_i C_ji m_i,

with one solution in C⁺ at every z in C⁺ (Girko; Hachem, Loubaton and Najim 2007): whatever converges there is right.
Newton's method works on log m, from far above the axis down to it, each height a quarter of the one before, which
keeps to the right one of two roots that meet at an edge.

At a real z > 0 a real solution is the limit from above exactly where the spectral radius of m_i K_ih m_h is below 1,
K = B diag(b^{-2}) C: with v = m'/m, v = m + (m K m) v makes all m' > 0 if it is, and if m' > 0 it is, as there is then
a positive vector that m K m shrinks (Perron). So a point off the support carries its own proof.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
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
    """The equation's parts at m, shape (points, row classes).

    Attributes:
        residual: G = 1 + m (z - Σ_j B_ij/b_j).
        noise: What rounding makes of it, one rounding each part.
        inverse: 1/b, shape (points, column classes).
        coupling: m_i K_ih m_h, shape (points, row classes, row classes).
    """

    residual: Complexes
    noise: Floats
    inverse: Complexes
    coupling: Complexes


@dataclass(frozen=True, eq=False)
class ProfileEquation:
    """The equation of one profile.

    Attributes:
        ratio: γ = p/n.
        variances: s_ij, shape (row classes, column classes).
        rows: Shares α_i.
        columns: Shares β_j.
    """

    ratio: float
    variances: Floats
    rows: Floats
    columns: Floats

    @cached_property
    def to_rows(self) -> Floats:
        """B, shape (row classes, column classes)."""
        return np.asarray(self.variances * self.columns)

    @cached_property
    def to_columns(self) -> Floats:
        """C, shape (column classes, row classes)."""
        return np.asarray(self.ratio * (self.variances * self.rows[:, None]).T)

    @cached_property
    def bound(self) -> float:
        """A bound on the support: (1 + sqrt γ)² times the largest variance."""
        return float((1 + np.sqrt(self.ratio)) ** 2 * self.variances.max())

    def terms(self, z: Complexes, m: Complexes) -> Terms:
        """Return the equation's parts at z, shape (points,), and m, shape (points, row classes)."""
        inverse = 1 / (1 + m @ self.to_columns.T)
        pull = inverse @ self.to_rows.T
        residual = 1 + m * (z[:, None] - pull)
        # 1/b is off by the roundings of b's largest part.
        spread = np.abs(inverse) * (1 + np.abs(inverse) * (1 + np.abs(m) @ self.to_columns.T))
        noise = EPS * (1 + np.abs(m) * (np.abs(z)[:, None] + spread @ self.to_rows.T))
        kernel = (self.to_rows * inverse[:, None, :] ** 2) @ self.to_columns
        return Terms(residual, noise, inverse, m[:, :, None] * kernel * m[:, None, :])

    def correction(self, terms: Terms) -> Complexes:
        """Return Newton's correction of log m."""
        matrix = -terms.coupling
        diagonal = np.arange(self.rows.size)
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
        m = np.tile((-1 / (z + 1j * height))[:, None], self.rows.size)
        while height > least:
            m = self._newton(z + 1j * np.maximum(height, lift), m, STEPS, 1e-6)
            height /= 4
        return self._newton(z + 1j * lift, m, LAST_STEPS, 1e-15)

    def limit(self, z: Complexes, guess: Complexes | None = None) -> Complexes:
        """Return m at 1-D z ≠ 0 in C⁺ or, as a limit, inside the support; from a guess where that serves."""
        m = np.empty((z.size, self.rows.size), complex)
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

    def share(self, x: Floats, m: Complexes) -> Floats:
        """Return the distribution function at real x > 0 from m there.

        With L = ∫ log(t - z) dμ = log(-z) + Σ α log a + Σ (β/γ) log b + z Σ α β s m m~, a = -1/(z m), m~ = -1/(z b),
        stationary in m and m~, it is -Im L/π.
        """
        inverse = 1 / (1 + m @ self.to_columns.T)
        turned = np.angle(m) @ self.rows + np.angle(inverse) @ self.columns / self.ratio
        return np.asarray((turned + x * (m.imag @ self.rows)) / np.pi)


def radius(terms: Terms) -> Floats:
    """Return the spectral radius of m K m."""
    finite = np.asarray(np.isfinite(terms.coupling).all(axis=(1, 2)))
    values = np.linalg.eigvals(np.where(finite[:, None, None], terms.coupling, 0.0))
    return np.asarray(np.where(finite, np.abs(values).max(axis=1), np.inf))
