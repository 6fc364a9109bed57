"""From eigenvalues to singular values, and from one Gram matrix to the other.

For a p x n matrix Y, γ = p/n, the p x p matrix Y Y^T and the n x n matrix Y^T Y share their nonzero
eigenvalues: m_n(z) = γ m_p(z) + (γ - 1)/z. The singular values of Y are their square roots. The
D-transform of Y is D(x) = x² m_p(x²) m_n(x²), and a singular value θ of a finite-rank matrix added to a
bi-rotationally invariant Y moves to x with D(x) = 1/θ² (Benaych-Georges and Nadakuditi, arXiv 1103.2221,
theorem 2.8).

Where it breaks down: m_n loses digits by cancellation where γ < 1 and |z| is far below the law's lower edge.
Checked against the closed forms for Marchenko-Pastur and by sampled matrices in tests/laws.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rmtfl.errors import BadInput
from rmtfl.laws.base import Floats, Interval, Law, Outlier
from rmtfl.solve import Bracketed, Root, solve

#: What a product of transforms is good to, relative.
TRANSFORM_ERROR = 1e-13


@dataclass(frozen=True)
class Companion(Law):
    """Law of the n eigenvalues of Y^T Y, from that of the p eigenvalues of Y Y^T.

    Attributes:
        gram: Law of the p eigenvalues of Y Y^T.
        ratio: γ = p/n.
    """

    gram: Law
    ratio: float

    @property
    def support(self) -> tuple[Interval, ...]:
        """The support of the other Gram matrix."""
        return self.gram.support

    @property
    def atoms(self) -> tuple[tuple[float, float], ...]:
        """Point masses: the shared ones times γ, and at 0 what rank asks for."""
        masses = {place: self.ratio * mass for place, mass in self.gram.atoms}
        masses[0.0] = masses.get(0.0, 0.0) + 1 - self.ratio
        return tuple((place, mass) for place, mass in sorted(masses.items()) if mass > 1e-14)

    def stieltjes(self, z: ArrayLike) -> NDArray[np.complex128]:
        """Return m_n(z) = γ m_p(z) + (γ - 1)/z."""
        z = np.asarray(z, complex)
        return np.asarray(self.ratio * self.gram.stieltjes(z) + (self.ratio - 1) / z)

    def stieltjes_slope(self, z: ArrayLike) -> NDArray[np.complex128]:
        """Return m_n'(z)."""
        z = np.asarray(z, complex)
        return np.asarray(self.ratio * self.gram.stieltjes_slope(z) - (self.ratio - 1) / z**2)

    def density(self, x: ArrayLike) -> Floats:
        """Return γ times the density of the other Gram matrix."""
        return self.ratio * self.gram.density(x)

    def cdf(self, x: ArrayLike) -> Floats:
        """Return the distribution function."""
        x = np.asarray(x, float)
        return np.maximum(self.ratio * self.gram.cdf(x) + np.where(x >= 0, 1 - self.ratio, 0.0), 0.0)

    def moments(self, count: int) -> Floats:
        """Return γ times the other moments."""
        return self.ratio * self.gram.moments(count)


@dataclass(frozen=True)
class SingularValues(Law):
    """Law of the min(p, n) singular values of a p x n matrix Y.

    Attributes:
        gram: Law of the p eigenvalues of Y Y^T.
        ratio: γ = p/n.
    """

    gram: Law
    ratio: float

    @property
    def _share(self) -> float:
        """What part of the p eigenvalues are squared singular values."""
        return min(1.0, 1 / self.ratio)

    @property
    def support(self) -> tuple[Interval, ...]:
        """Square roots of the Gram matrix's support."""
        return tuple((sqrt(lo), sqrt(hi)) for lo, hi in self.gram.support)

    @property
    def atoms(self) -> tuple[tuple[float, float], ...]:
        """Point masses: those of the Gram matrix that rank, rather than shape, accounts for."""
        left = []
        for place, mass in self.gram.atoms:
            rest = (mass - (1 - self._share) * (place == 0)) / self._share
            if rest > 1e-14:
                left.append((sqrt(place), rest))
        return tuple(left)

    def gram_transforms(self, z: ArrayLike) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
        """Return m_p and m_n, the transforms of Y Y^T and of Y^T Y, at z."""
        z = np.asarray(z, complex)
        m_p: NDArray[np.complex128] = np.asarray(self.gram.stieltjes(z), complex)
        return m_p, np.asarray(self.ratio * m_p + (self.ratio - 1) / z, complex)

    def stieltjes(self, z: ArrayLike) -> NDArray[np.complex128]:
        """Return ∫ dmu(s)/(s - z) on Re z = 0 only.

        The transform of the singular values off the imaginary axis is not a function of the Gram matrix's
        alone; that of the symmetrised law is z m(z²).

        Raises:
            BadInput: Always; use `gram_transforms`.
        """
        raise BadInput("stieltjes of singular values is not offered: use gram_transforms(z), with z = s²")

    stieltjes_slope = stieltjes

    def density(self, x: ArrayLike) -> Floats:
        """Return 2 x times the Gram matrix's density at x², per singular value."""
        x = np.asarray(x, float)
        return np.where(x > 0, 2 * x * self.gram.density(x**2) / self._share, 0.0)

    def cdf(self, x: ArrayLike) -> Floats:
        """Return the distribution function of the singular values."""
        x = np.asarray(x, float)
        null = 1 - self._share
        return np.where(x >= 0, np.maximum(self.gram.cdf(np.maximum(x, 0.0) ** 2) - null, 0.0), 0.0) / self._share

    def moments(self, count: int) -> Floats:
        """Return the even moments only, as ∫ s^(2k) dmu, k = 1, ..., count."""
        return self.gram.moments(count) / self._share

    def d_transform(self, x: ArrayLike) -> Floats:
        """Return D(x) = x² m_p(x²) m_n(x²), for real x right of the support."""
        lam = np.asarray(x, float) ** 2
        m_p, m_n = self.gram_transforms(lam)
        return np.asarray(lam * np.real(m_p) * np.real(m_n))

    def outlier(self, theta: float) -> Outlier:
        """Return the top outlier of Y plus a finite-rank matrix of singular value theta.

        Args:
            theta: Singular value of the finite-rank part.

        Returns:
            Location (a singular value), `overlap` (squared, left: dimension p) and `right_overlap` (n).

        Raises:
            BadInput: If theta is not positive.
        """
        if not 0 < theta < inf:
            raise BadInput(f"theta = {theta!r}: a positive singular value is needed")
        edge = self.edges[-1]
        # Just outside, where the transform is still finite and known to full precision.
        near = edge * (1 + 1e-13)
        if not self.d_transform(near) > theta**-2:
            return Outlier(theta, None, None, 0.0)

        def residual(x: Floats, index: NDArray[np.intp]) -> tuple[Floats, Floats, float]:
            del index
            lam = x**2
            m_p, m_n = self.gram_transforms(lam)
            slope_p, slope_n = self._slopes(lam)
            product = np.real(lam * m_p * m_n)
            slope = np.real(m_p * m_n + lam * (slope_p * m_n + m_p * slope_n))
            # In 1/D, which is close to linear in x.
            return 1 / product - theta**2, -2 * x * slope / product**2, TRANSFORM_ERROR * theta**2

        problem = Root(residual, lower=np.array([near]), upper=np.array([edge + theta]))
        found = solve(problem, Bracketed(), np.array([edge + 0.5 * theta]), tolerance=1e-14)
        lam = found.value**2
        m_p, m_n = self.gram_transforms(lam)
        slope_p, slope_n = self._slopes(lam)
        slope = np.real(m_p * m_n + lam * (slope_p * m_n + m_p * slope_n))
        left, right = np.real(m_p) / (theta**2 * slope), np.real(m_n) / (theta**2 * slope)
        error = max(1e-12, float(found.error[0] / found.value[0]))
        return Outlier(theta, float(found.value[0]), float(left[0]), error, float(right[0]))

    def _slopes(self, lam: Floats) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
        slope = np.asarray(self.gram.stieltjes_slope(lam), complex)
        return slope, np.asarray(self.ratio * slope - (self.ratio - 1) / lam**2, complex)
