"""The equation z(u) = x + i y around an anchor: its residual, Newton's last step, and the proof that a root is near.

The proof is Smale's: with β₁ = |f/f'| and γ₁ = sup_k |f^(k)/(k! f')|^{1/(k-1)}, a root lies within 2β₁ of u if
β₁ γ₁ < 0.157 (Blum, Cucker, Shub and Smale, Complexity and Real Computation, 1998, §8.2). Here f^(k)/k! is at most
P/δ^{k-1}, with P = γ Σ w t²/|u - t|² and δ the distance to the nearest atom, so γ₁ <= max(1, P/|f'|)/δ. What rounding
leaves in the residual is bounded and part of β₁: the errors of a K-term sum are taken as independent (growth sqrt K,
Higham and Mary, SIAM J. Sci. Comput. 41, 2019); everything else is a worst case.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rmtfl.laws.forward import Floats, Indices

Complexes = NDArray[np.complex128]

#: Rounding unit of a double.
EPS = 2.0**-53

#: Smale's constant (13 - 3 sqrt 17)/4 = 0.1577, below which β γ proves a root within 2 β.
SMALE = 0.157


@dataclass(frozen=True)
class Expansion:
    """The equation z(anchor + h) = target around each point's anchor: a0 + a1 h + h² Σ b/(d + h) = 0.

    Attributes:
        a0: z(anchor) - target, complex, shape (N,).
        a1: z'(anchor), shape (N,).
        d: anchor - t, shape (K, N).
        b: γ w t²/d², shape (K, N).
        a2: γ w t², shape (K,).
        floor: Error of a0, beyond its rounding.
        tilt: The same for a1.
    """

    a0: Complexes
    a1: Floats
    d: Floats
    b: Floats
    a2: Floats
    floor: Floats
    tilt: Floats

    def __getitem__(self, key: Indices) -> Expansion:
        if key.size == self.a0.size:
            return self
        return Expansion(
            self.a0[key],
            self.a1[key],
            self.d[:, key],
            self.b[:, key],
            self.a2,
            self.floor[key],
            self.tilt[key],
        )

    def residual(self, h: Complexes) -> tuple[Complexes, Complexes]:
        """Return f and f' at h."""
        return self._residual(h, *self._inverse(h))

    def _inverse(self, h: Complexes) -> tuple[Floats, Floats]:
        """Return p = d + Re h and 1/|d + h|², so that 1/(d + h) = (p - i Im h)/|d + h|²."""
        p = self.d + h.real
        square = p * p
        square += h.imag**2
        return p, np.divide(1.0, square, out=square)

    def _residual(self, h: Complexes, p: Floats, inverse: Floats) -> tuple[Complexes, Complexes]:
        im = h.imag.copy()
        q = self.b * inverse
        turned = q * p
        s0, s1 = _sum(q), _sum(turned)
        q *= inverse
        g0, g1 = _sum(q), _sum(np.multiply(q, p, out=turned))
        psi, bend = np.empty_like(h), np.empty_like(h)
        psi.real, psi.imag = s1, -im * s0
        im *= 2
        bend.real, bend.imag = im * h.imag * g0 - s0, im * g1
        inner = self.a1 + h * psi
        return self.a0 + h * inner, inner + h * (psi + h * bend)

    def _bounds(self, h: Complexes, slope: Complexes, inverse: Floats, unit: float) -> tuple[Floats, Floats, Floats]:
        """Return bounds: on the residual's rounding, on |f'| from below, on Smale's γ₁ from above."""
        size = np.abs(h)
        away = np.sqrt(1 / inverse.max(0))
        reach = np.abs(self.d)
        reach *= inverse
        reach += np.sqrt(inverse)
        magnified = size * _dot(self.b, reach)
        spread = 8 + 2 * float(self.a2.size) ** 0.5
        rounded = np.abs(self.a1)
        noise = unit * spread * (np.abs(self.a0) + size * (rounded + magnified)) + self.floor + self.tilt * size
        # The slope is in doubles whatever the residual is in: its own rounding is taken off.
        low = np.abs(slope) - EPS * spread * (rounded + 3 * magnified * (1 + size / away))
        return noise, low, np.maximum(1.0, 1.001 * (self.a2 @ inverse) / low) / away

    def radius(self, h: Complexes, f: Complexes, unit: float) -> Floats:
        """Return a radius around h that holds a root, or inf where none is proved.

        Args:
            h: Offsets.
            f: Residuals there.
            unit: Relative error of each term of the residual as it was computed.
        """
        p, inverse = self._inverse(h)
        _, slope = self._residual(h, p, inverse)
        noise, low, gamma = self._bounds(h, slope, inverse, unit)
        with np.errstate(divide="ignore", invalid="ignore"):
            beta = (np.abs(f) + noise) / low
            return np.where((low > 0) & (beta * gamma < SMALE), 2 * beta, np.inf)

    def last_step(self, h: Complexes) -> tuple[Complexes, Floats]:
        """Return h after a last step of Newton, and a proved bound on its distance to a root (inf: none proved).

        With β₁ γ₁ = α < 0.157 at h a root lies within 2 β₁, and Newton's exact step misses it by at most
        γ₁ (2 β₁)²/(1 - 2 α); the step that was taken differs from the exact one by β₁ - |step|, and rounding.
        """
        p, inverse = self._inverse(h)
        f, slope = self._residual(h, p, inverse)
        noise, low, gamma = self._bounds(h, slope, inverse, EPS)
        step = f / slope
        new, moved = h - step, np.abs(step)
        beta = (np.abs(f) + noise) / low
        alpha = beta * gamma
        error = 4 * alpha * beta / (1 - 2 * alpha) + (beta - moved) + 4 * EPS * (moved + np.abs(new))
        return new, np.where((low > 0) & (alpha < SMALE), error, np.inf)


def _sum(a: Floats) -> Floats:
    """Return the sum over the atoms."""
    return np.asarray(np.add.reduce(a, axis=0))


def _dot(a: Floats, b: Floats) -> Floats:
    """Return the sum of the products over the atoms."""
    return _sum(a * b)
