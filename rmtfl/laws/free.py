"""Free sums and products of any two laws: of A + U B U^T, and of A^{1/2} U B U^T A^{1/2}, U Haar orthogonal.

What tells the two convolutions apart, the rest being `convolution`: partner functions, levels, atoms and moments.
Checked in tests/laws/test_convolution.py against closed forms, moments and sampled matrices.
"""

from __future__ import annotations

from functools import cached_property
from itertools import product

import numpy as np
from numpy.typing import ArrayLike

from rmtfl.errors import BadInput
from rmtfl.laws.base import Floats, Law
from rmtfl.laws.convolution import Complexes, Convolution, Found, Gap
from rmtfl.laws.generalized import moments_from_free_cumulants
from rmtfl.laws.subordinated import free_cumulants_from_moments


class FreeSum(Convolution):
    """Eigenvalues of A + U B U^T: the free additive convolution."""

    infinity = 0.0

    def partner(self, z: Complexes, k: Complexes) -> tuple[Complexes, Complexes]:
        """Return z - K."""
        return z - k, np.full(k.shape, -1.0 + 0j)

    def level(self, law: Law, s: Complexes) -> tuple[Complexes, Complexes]:
        """Return m(s)."""
        return law.transforms(s)

    def image(self, c: Complexes, one: Complexes, two: Complexes) -> Complexes:
        """Return s₁ + s₂ + 1/c."""
        return one + two + 1 / c

    def image_slope(self, c: Complexes, one: Complexes, two: Complexes) -> Complexes:
        """Return 1/m₁' + 1/m₂' - 1/c²."""
        return np.asarray(1 / self.level(self.first, one)[1] + 1 / self.level(self.second, two)[1] - 1 / c**2)

    def from_level(self, c: Complexes, z: Complexes) -> Complexes:
        """Return c."""
        del z
        return c

    def tail(self, law: Law) -> float:
        """Return 1."""
        del law
        return 1.0

    def stieltjes_slope(self, z: ArrayLike) -> Complexes:
        """Return m'(z), any shape."""
        _, c, one, two = self._levels(z)
        return np.asarray(1 / self.image_slope(c, one, two)).reshape(np.shape(z))

    @property
    def atoms(self) -> tuple[tuple[float, float], ...]:
        """Sums of atoms whose masses together exceed 1 (Bercovici and Voiculescu, 1998)."""
        pairs = product(self.first.atoms, self.second.atoms)
        return tuple(sorted((a + b, p + q - 1) for (a, p), (b, q) in pairs if p + q > 1))

    def overlap(self, z: Floats, spike: Floats, rate: Floats) -> Floats:
        """Return dz/ds₁."""
        del z, spike
        return rate

    def moments(self, count: int) -> Floats:
        """Return the moments: free cumulants add."""
        cumulants = [free_cumulants_from_moments(law.moments(count)) for law in (self.first, self.second)]
        return moments_from_free_cumulants([a + b for a, b in zip(*cumulants, strict=True)])


class FreeProduct(Convolution):
    """Eigenvalues of A^{1/2} U B U^T A^{1/2}, A and B nonnegative: the free multiplicative convolution."""

    infinity = -1.0

    def __init__(self, first: Law, second: Law) -> None:
        super().__init__(first, second)
        for law in (first, second):
            if min([law.edges[0], *(place for place, _ in law.atoms)]) < 0:
                raise BadInput(f"free product: {law!r} reaches below 0; two nonnegative laws are needed")

    def partner(self, z: Complexes, k: Complexes) -> tuple[Complexes, Complexes]:
        """Return z/K."""
        return z / k, -z / k**2

    def level(self, law: Law, s: Complexes) -> tuple[Complexes, Complexes]:
        """Return s m(s)."""
        m, slope = law.transforms(s)
        return np.asarray(s * m), np.asarray(m + s * slope)

    def image(self, c: Complexes, one: Complexes, two: Complexes) -> Complexes:
        """Return s₁ s₂ (1 + 1/c)."""
        return one * two * (1 + 1 / c)

    def image_slope(self, c: Complexes, one: Complexes, two: Complexes) -> Complexes:
        """Return dz/dc, from d log z/dc."""
        parts = [1 / (s * self.level(law, s)[1]) for law, s in ((self.first, one), (self.second, two))]
        return np.asarray(self.image(c, one, two) * (parts[0] + parts[1] - 1 / (c * (1 + c))))

    def from_level(self, c: Complexes, z: Complexes) -> Complexes:
        """Return c/z."""
        return np.asarray(c / z)

    def _range(self, gap: Gap) -> tuple[float, float]:
        """Return the levels at the ends of a gap; at 0 it is minus the mass there, exactly."""
        low, high = super()._range(gap)
        null = sum(mass for place, mass in gap.law.atoms if place == 0)
        return (low if gap.low else -null), (high if gap.high else -null)

    @cached_property
    def complement(self) -> tuple[Found, ...]:
        """As for any convolution; the first gap reaches 0, where z is 0/0 if the law does."""
        (left, right, pair, levels), *others = super().complement
        return ((left, float(np.fmax(right, 0.0)), pair, levels), *others)

    def tail(self, law: Law) -> float:
        """Return the mean."""
        return float(law.moments(1)[0])

    def stieltjes_slope(self, z: ArrayLike) -> Complexes:
        """Return m'(z), any shape."""
        values, c, one, two = self._levels(z)
        return np.asarray((1 / self.image_slope(c, one, two) - c / values) / values).reshape(np.shape(z))

    @property
    def atoms(self) -> tuple[tuple[float, float], ...]:
        """At 0 the larger of the two masses; elsewhere products of atoms whose masses together exceed 1."""
        null = max(sum(mass for place, mass in law.atoms if place == 0) for law in (self.first, self.second))
        pairs = product(self.first.atoms, self.second.atoms)
        others = [(a * b, p + q - 1) for (a, p), (b, q) in pairs if a * b and p + q > 1]
        return tuple(sorted([*([(0.0, float(null))] if null > 0 else []), *others]))

    def overlap(self, z: Floats, spike: Floats, rate: Floats) -> Floats:
        """Return (s₁/z) dz/ds₁."""
        return spike * rate / z

    def moments(self, count: int) -> Floats:
        """Return the moments: S-transforms multiply, S(w) = χ(w)(1 + w)/w with χ the inverse series of Σ m_k s^k."""
        first, second = (_reversed(law.moments(count)) for law in (self.first, self.second))
        # χ = χ₁ χ₂ (1 + w)/w; both start with w.
        both = np.convolve(first, second)
        return _reversed((both + np.concatenate([[0.0], both[:-1]]))[:count])


def _reversed(series: Floats) -> Floats:
    """Return b with the inverse function of Σ a_k s^k, k = 1, 2, ..., by Lagrange: k b_k = [s^{k-1}] (s/a(s))^k."""
    n = len(series)
    inverse = np.zeros(n)
    inverse[0] = 1 / series[0]
    for k in range(1, n):
        inverse[k] = -np.dot(series[1 : k + 1], inverse[k - 1 :: -1][:k]) / series[0]
    result, power = np.empty(n), np.ones(1)
    for k in range(1, n + 1):
        power = np.convolve(power, inverse)[:n]
        result[k - 1] = power[k - 1] / k
    return result
