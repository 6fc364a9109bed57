"""The bulk of a random-feature matrix σ(WX), in two forms that must agree.

W is N x d with rows of variance 1/d, X d x n standard Gaussian, σ centred with unit variance and b = E σ'.
Conditionally on W the columns of σ(WX) have covariance close to b² W W^T + (1 - b²) I (Pennington and Worah 2017;
Wang, Wu and Fan, arXiv 2402.10127, for the law ν₀), so (1/n) σ(WX) σ(WX)^T follows

1. the sample-covariance law of the population b² MP(N/d) + 1 - b² (`random_feature_law`), or
2. two coupled scalar equations in the companion transform m and g = (1/N) tr (I + m A)^{-1}, A that covariance:
   z m = γ (1 - g) - 1,  g = 1/(c + e/(1 + ψ e g)),  c = 1 + m (1 - b²), e = m b², ψ = N/d, γ = N/n
   (`coupled_transform`), which need no law of W W^T.

Where it breaks down: σ with a large b_2 = E σ'' adds spikes that the bulk does not show; sizes must be proportional.
Checked in tests/laws/test_random_features.py against each other and against sampled networks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rmtfl.errors import BadInput
from rmtfl.laws.base import Floats, Interval, Law, real_or_complex
from rmtfl.laws.marchenko_pastur import marchenko_pastur
from rmtfl.laws.subordinated import SampleCovariance
from rmtfl.solve import Anderson, FixedPoint, continuation

Complexes = NDArray[np.complex128]

#: Distances above the axis through which the coupled equations are continued down to z.
LADDER = (10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.0)


@dataclass(frozen=True)
class Affine(Law):
    """The law of scale · x + shift, x of law base.

    Attributes:
        base: Law of x.
        scale: Positive.
        shift: Any.
    """

    base: Law
    scale: float
    shift: float

    @property
    def support(self) -> tuple[Interval, ...]:
        """The image of the base's intervals."""
        return tuple((self.scale * lo + self.shift, self.scale * hi + self.shift) for lo, hi in self.base.support)

    @property
    def atoms(self) -> tuple[tuple[float, float], ...]:
        """The image of the base's point masses."""
        return tuple((self.scale * place + self.shift, mass) for place, mass in self.base.atoms)

    def _back(self, x: ArrayLike) -> NDArray[np.generic]:
        return (np.asarray(x) - self.shift) / self.scale

    def stieltjes(self, z: ArrayLike) -> Complexes:
        """Return m(z)."""
        return np.asarray(self.base.stieltjes(self._back(z)) / self.scale)

    def stieltjes_slope(self, z: ArrayLike) -> Complexes:
        """Return m'(z)."""
        return np.asarray(self.base.stieltjes_slope(self._back(z)) / self.scale**2)

    def density(self, x: ArrayLike) -> Floats:
        """Return the density of the continuous part."""
        return self.base.density(self._back(x)) / self.scale

    def cdf(self, x: ArrayLike) -> Floats:
        """Return the distribution function."""
        return self.base.cdf(self._back(x))

    def moments(self, count: int) -> Floats:
        """Return the moments, by the binomial theorem."""
        inner = np.concatenate([[1.0], self.base.moments(count)])
        whole = np.polynomial.Polynomial([self.shift, self.scale])
        return np.array([float(np.dot((whole**k).coef, inner[: k + 1])) for k in range(1, count + 1)])


def random_feature_law(slope: float, width_ratio: float, sample_ratio: float) -> SampleCovariance:
    """Return the law of the N eigenvalues of σ(WX) σ(WX)^T / n.

    Args:
        slope: b = E σ'(h), at most 1 in modulus for a σ of unit variance.
        width_ratio: ψ = N/d.
        sample_ratio: γ = N/n.

    Raises:
        BadInput: If an argument is out of range; at slope ±1 or 0 the features are linear or noise, and
            `marchenko_pastur` laws serve.
    """
    _check(slope, width_ratio, sample_ratio)
    return SampleCovariance(Affine(marchenko_pastur(width_ratio), slope**2, 1 - slope**2), sample_ratio)


def coupled_transform(z: ArrayLike, slope: float, width_ratio: float, sample_ratio: float) -> Complexes:
    """Return the companion transform (of the n x n matrix) at z in C⁺ from the two coupled equations.

    Args:
        z: Any shape, in the open upper half-plane.
        slope: b.
        width_ratio: ψ = N/d.
        sample_ratio: γ = N/n.

    Raises:
        BadInput: If an argument is out of range.
        ToleranceNotMet: If the iteration does not converge, as it may where Im z is tiny.
    """
    _check(slope, width_ratio, sample_ratio)
    points = real_or_complex(z)
    square = slope**2

    def problem(point: complex) -> FixedPoint:
        def step(x: Complexes) -> Complexes:
            m, g = x
            c, e = 1 + m * (1 - square), m * square
            return np.array([(sample_ratio * (1 - g) - 1) / point, 1 / (c + e / (1 + width_ratio * e * g))])

        return FixedPoint(step)

    found = []
    for point in points.ravel().tolist():
        chain = [problem(point + 1j * rung) for rung in LADDER]
        start = np.array([-1 / (point + 10j), 1.0 + 0j])
        found.append(continuation(chain, Anderson(memory=4), start, tolerance=1e-13, max_steps=2000).value[0])
    return np.array(found).reshape(points.shape)


def _check(slope: float, width_ratio: float, sample_ratio: float) -> None:
    if not 0 < abs(slope) < 1:
        raise BadInput(f"slope = {slope!r}: E σ' strictly between 0 and 1 in modulus is needed")
    for key, value in (("width_ratio", width_ratio), ("sample_ratio", sample_ratio)):
        if not (np.isfinite(value) and value > 0):
            raise BadInput(f"{key} = {value!r}: a positive number is needed")
