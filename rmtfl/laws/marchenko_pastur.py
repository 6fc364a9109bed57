"""The Marchenko-Pastur law in closed form, as eigenvalues of either Gram matrix of a p x n matrix.

With X of shape p x n, entries iid of mean 0 and variance `variance`, γ = p/n: `marchenko_pastur` is the
law of the p eigenvalues of X X^T / n, `companion_marchenko_pastur` that of the n eigenvalues of X^T X / n.
Both rest on u = -1/m of the companion transform m, the root in C⁺ of u² + (γ - 1 - z) u + z = 0 (unit
variance), whose roots multiply to z, so that the small one is computed without cancellation. The
distribution function is the imaginary part of the antiderivative m z + log m - γ log(1 + m) of the
companion transform.

Where it breaks down: the distribution function is accurate absolutely (to about 1e-15), not relatively, close
to the lower edge. Checked against quadrature, moments and the generalized law in tests/laws.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import comb, inf, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rmtfl.errors import BadInput
from rmtfl.laws.base import EPS, Floats, Interval, Law, Outlier, real_or_complex


@dataclass(frozen=True)
class MarchenkoPastur(Law):
    """Law of the p eigenvalues of X X^T / n (or, with `companion`, of the n eigenvalues of X^T X / n).

    Attributes:
        ratio: γ = p/n.
        variance: Of the entries of X.
        companion: Which of the two Gram matrices.
    """

    ratio: float
    variance: float = 1.0
    companion: bool = False

    def __post_init__(self) -> None:
        for key in ("ratio", "variance"):
            value = getattr(self, key)
            if not (np.isfinite(value) and value > 0):
                raise BadInput(f"{key} = {value!r}: a positive number is needed")

    @property
    def support(self) -> tuple[Interval, ...]:
        """The one interval between the edges variance (1 ∓ sqrt γ)²."""
        root = sqrt(self.ratio)
        return ((self.variance * (1 - root) ** 2, self.variance * (1 + root) ** 2),)

    @property
    def atoms(self) -> tuple[tuple[float, float], ...]:
        """The null space: mass 1 - 1/γ of the p, or 1 - γ of the n, where positive."""
        null = 1 - self.ratio if self.companion else 1 - 1 / self.ratio
        return ((0.0, null),) if null > 0 else ()

    def _root(self, z: NDArray[np.complex128]) -> NDArray[np.complex128]:
        """Return u of the unit-variance law at z."""
        (low, high), gamma = MarchenkoPastur(self.ratio).support[0], self.ratio
        radical = np.sqrt(z - low) * np.sqrt(z - high)
        half = z + 1 - gamma
        plus, minus = half + radical, half - radical
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.where(np.abs(plus) >= np.abs(minus), 0.5 * plus, 2 * z / minus))

    def stieltjes(self, z: ArrayLike) -> NDArray[np.complex128]:
        """Return m(z); infinite at 0 where the law has an atom there."""
        scaled = real_or_complex(z) / self.variance
        u = self._root(scaled)
        if self.companion:
            with np.errstate(divide="ignore", invalid="ignore"):
                return np.asarray(-1 / (u * self.variance))
        # m_p = (m_n - (γ - 1)/z) / γ, and z = u (1 + γ/(u - 1)), so that m_p = -1/(u - 1 + γ): no
        # cancellation.
        return np.asarray(-1 / ((u - 1 + self.ratio) * self.variance))

    def stieltjes_slope(self, z: ArrayLike) -> NDArray[np.complex128]:
        """Return m'(z)."""
        u = self._root(real_or_complex(z) / self.variance)
        with np.errstate(divide="ignore", invalid="ignore"):
            slope = 1 / (1 - self.ratio / (u - 1) ** 2)
            bottom = u if self.companion else u - 1 + self.ratio
            return np.asarray(slope / bottom**2 / self.variance**2)

    def density(self, x: ArrayLike) -> Floats:
        """Return sqrt((x - a)(b - x)) / (2π γ variance x) on the support [a, b]; n-sided: times γ."""
        x = np.asarray(x, float)
        ((low, high),) = self.support
        inside = (x > low) & (x < high)
        safe = np.where(inside, x, 0.5 * (low + high))
        value = np.sqrt((safe - low) * (high - safe)) / (2 * np.pi * self.variance * safe)
        return np.where(inside, value if self.companion else value / self.ratio, 0.0)

    def cdf(self, x: ArrayLike) -> Floats:
        """Return the distribution function, atom included."""
        x = np.asarray(x, float)
        gamma, ((low, high),) = self.ratio, self.support
        u = self._root(np.clip(x, low, high) / self.variance + 0j)
        u = u.real + 1j * np.abs(u.imag)
        below = np.pi * min(gamma, 1.0)
        turned = np.clip(x, low, high) / self.variance * u.imag / np.abs(u) ** 2 if low > 0 else u.imag
        turned = turned - (1 - gamma) * np.angle(u) - gamma * np.angle(u - 1)
        mass = np.clip((turned + below) / np.pi, 0.0, min(gamma, 1.0))
        mass = np.where(x >= high, min(gamma, 1.0), np.where(x <= low, 0.0, mass))
        null = self.atoms[0][1] if self.atoms else 0.0
        return np.where(x >= 0, null, 0.0) + (mass if self.companion else mass / gamma)

    def moments(self, count: int) -> Floats:
        """Return the moments, Narayana polynomials in γ."""
        ratio = self.ratio
        value = np.array(
            [
                self.variance**k * sum(ratio**j * comb(k, j) * comb(k - 1, j) / (j + 1) for j in range(k))
                for k in range(1, count + 1)
            ]
        )
        return value * ratio if self.companion else value

    def outlier(self, spike: float) -> Outlier:
        """Return the outlier of a population eigenvalue `spike` (of either sign of spike - variance).

        Rationals, rounded once: next to the threshold doubles would lose the overlap, and the sign of what is left.

        Args:
            spike: Population eigenvalue, in the units of `variance`.
        """
        if not 0 < spike < inf:
            raise BadInput(f"spike = {spike!r}: a positive population eigenvalue is needed")
        exact, ratio = Fraction(float(spike)), Fraction(float(self.ratio))
        beyond = exact / Fraction(float(self.variance)) - 1
        if not beyond**2 > ratio or (beyond < 0 and ratio >= 1):
            return Outlier(spike, None, None, 0.0)
        factor = 1 + ratio / beyond
        return Outlier(spike, float(exact * factor), float((1 - ratio / beyond**2) / factor), EPS)


def marchenko_pastur(ratio: float, variance: float = 1.0) -> MarchenkoPastur:
    """Return the law of the p eigenvalues of X X^T / n, X of shape p x n with ratio = p/n."""
    return MarchenkoPastur(ratio, variance)


def companion_marchenko_pastur(ratio: float, variance: float = 1.0) -> MarchenkoPastur:
    """Return the law of the n eigenvalues of X^T X / n, X of shape p x n with ratio = p/n."""
    return MarchenkoPastur(ratio, variance, companion=True)
