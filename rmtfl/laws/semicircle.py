"""The semicircle law in closed form: eigenvalues of a Wigner matrix of given entry variance.

m(z) = -2 / (z + sqrt(z² - 4 v)) around its centre, written over the larger of the two roots so that nothing
cancels at large z. It breaks down nowhere; at the edges densities are as accurate as x - edge is. Checked by
quadrature, Catalan numbers and sampled matrices in tests/laws.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import comb, isfinite, sqrt

import mpmath
import numpy as np
from numpy.typing import ArrayLike, NDArray

from rmtfl.errors import BadInput
from rmtfl.laws.base import EPS, Floats, Interval, Law, Outlier, in_digits, real_or_complex

#: Decimal digits that a difference of two doubles' exponents may take.
EXPONENTS = 40


@dataclass(frozen=True)
class Semicircle(Law):
    """Eigenvalues of centre + W, W symmetric n x n with independent entries of variance `variance`/n.

    Attributes:
        variance: Variance of the law: its radius is 2 sqrt(variance).
        centre: Its mean.
    """

    variance: float = 1.0
    centre: float = 0.0

    def __post_init__(self) -> None:
        if not (np.isfinite(self.variance) and self.variance > 0):
            raise BadInput(f"variance = {self.variance!r}: a positive number is needed")

    @property
    def radius(self) -> float:
        """Half the width of the support."""
        return 2 * sqrt(self.variance)

    @property
    def support(self) -> tuple[Interval, ...]:
        """The one interval."""
        return ((self.centre - self.radius, self.centre + self.radius),)

    def stieltjes(self, z: ArrayLike) -> NDArray[np.complex128]:
        """Return m(z)."""
        w = real_or_complex(z) - self.centre
        return np.asarray(-2 / (w + np.sqrt(w - self.radius) * np.sqrt(w + self.radius)))

    def stieltjes_slope(self, z: ArrayLike) -> NDArray[np.complex128]:
        """Return m'(z) = m² / (1 - v m²)."""
        m = self.stieltjes(z)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(m**2 / (1 - self.variance * m**2))

    def density(self, x: ArrayLike) -> Floats:
        """Return sqrt(4 v - (x - centre)²) / (2π v) on the support."""
        w = np.asarray(x, float) - self.centre
        product = np.maximum((self.radius - w) * (self.radius + w), 0.0)
        return np.asarray(np.sqrt(product) / (2 * np.pi * self.variance))

    def cdf(self, x: ArrayLike) -> Floats:
        """Return the distribution function."""
        t = np.clip((np.asarray(x, float) - self.centre) / self.radius, -1.0, 1.0)
        return np.asarray(0.5 + (t * np.sqrt((1 - t) * (1 + t)) + np.arcsin(t)) / np.pi)

    def moments(self, count: int) -> Floats:
        """Return the moments: binomial sums of Catalan numbers."""

        def central(k: int) -> float:
            return 0.0 if k % 2 else comb(k, k // 2) / (k // 2 + 1) * self.variance ** (k // 2)

        return np.array(
            [sum(comb(k, j) * self.centre ** (k - j) * central(j) for j in range(k + 1)) for k in range(1, count + 1)]
        )

    def outlier(self, spike: float) -> Outlier:
        """Return the outlier of a rank-one additive perturbation of eigenvalue `spike`: rationals, rounded once.

        Raises:
            BadInput: If the spike is not finite.
        """
        if not isfinite(spike):
            raise BadInput(f"spike = {spike!r}: a finite number is needed")
        exact, variance = Fraction(float(spike)), Fraction(float(self.variance))
        if exact**2 <= variance:
            return Outlier(spike, None, None, 0.0)
        location, overlap = Fraction(float(self.centre)) + exact + variance / exact, 1 - variance / exact**2
        return Outlier(spike, float(location), float(overlap), EPS)

    def with_digits(
        self, digits: int, x: ArrayLike = (), spikes: ArrayLike = ()
    ) -> tuple[list[str], list[str], list[tuple[str, str] | None]]:
        """Return edges, densities and outliers to any number of digits, as decimal strings; the doubles are exact.

        Args:
            digits: Significant digits of every number.
            x: Points of the density; "0" off the support.
            spikes: Eigenvalues of the perturbation; None where subcritical, else (location, squared overlap).
        """
        # Differences of doubles lose at most the range of their exponents.
        with mpmath.workdps(2 * digits + EXPONENTS):
            v, c = mpmath.mpf(self.variance), mpmath.mpf(self.centre)
            radius = 2 * mpmath.sqrt(v)
            edges = [in_digits(c - radius, digits), in_digits(c + radius, digits)]
            densities = []
            for place in np.ravel(x).tolist():
                room = radius**2 - (mpmath.mpf(place) - c) ** 2
                densities.append(in_digits(mpmath.sqrt(room) / (2 * mpmath.pi * v), digits) if room > 0 else "0")
            outliers: list[tuple[str, str] | None] = []
            for spike in map(mpmath.mpf, np.ravel(spikes).tolist()):
                found = (c + spike + v / spike, 1 - v / spike**2) if spike**2 > v else None
                outliers.append(found and (in_digits(found[0], digits), in_digits(found[1], digits)))
        return edges, densities, outliers
