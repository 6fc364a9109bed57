"""The interface of a law, and what follows from it alone.

A `Law` is a probability measure mu on the real line: a continuous part on finitely many intervals plus
atoms. Its Stieltjes transform is m(z) = ∫ dmu(x) / (x - z), with Im m > 0 in the upper half-plane. Whether
the law is of eigenvalues or of singular values, and of which of the two Gram matrices, is in the name of
the class that makes it; nothing here squares anything.

Quantiles come from the distribution function by bracketed Newton steps, so they are as good as it is: where
the density vanishes, an error of the distribution function is magnified by its inverse. Checked in
tests/laws against the closed forms and against sampled matrices.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np
from numpy.typing import ArrayLike, NDArray

from rmtfl.errors import BadInput
from rmtfl.solve import Bracketed, Root, solve

#: Of one rounding, relative.
EPS = 2.0**-53

#: What rounding may move a distribution function from one call to the next, relative to the mass.
ROUNDING = 16 * EPS

Floats = NDArray[np.float64]
Interval = tuple[float, float]


@dataclass(frozen=True)
class Outlier:
    """Where a spike puts an eigenvalue outside the bulk.

    Attributes:
        spike: The spike's strength, as given.
        location: The outlier; None where the spike is subcritical.
        overlap: Squared overlap of the outlier's eigenvector with the spike's direction; None where
            subcritical.
        error: Bound on the relative numerical error of location and overlap.
        right_overlap: For a rectangular matrix, the same on the right-hand side.
    """

    spike: float
    location: float | None
    overlap: float | None
    error: float
    right_overlap: float | None = None


@dataclass(frozen=True)
class Evaluation:
    """Numbers and how far each may be off.

    Attributes:
        value: The numbers.
        error: Bound on the relative error of each, same shape.
    """

    value: NDArray[Any]
    error: Floats


class Law(ABC):
    """A probability law: continuous part on `support`, point masses in `atoms`."""

    @property
    @abstractmethod
    def support(self) -> tuple[Interval, ...]:
        """Intervals of the continuous part, ascending."""

    @property
    def atoms(self) -> tuple[tuple[float, float], ...]:
        """Point masses as (location, mass)."""
        return ()

    @property
    def mass(self) -> float:
        """Total mass: 1, or what the given weights sum to."""
        return 1.0

    @property
    def edges(self) -> tuple[float, ...]:
        """All edges of the support's intervals, ascending."""
        return tuple(edge for interval in self.support for edge in interval)

    @abstractmethod
    def stieltjes(self, z: ArrayLike) -> NDArray[Any]:
        """Return m(z) = ∫ dmu(x)/(x - z).

        Args:
            z: Any shape; in the closed upper half-plane. On the real axis inside the support the limit from
                above is returned.
        """

    @abstractmethod
    def stieltjes_slope(self, z: ArrayLike) -> NDArray[Any]:
        """Return m'(z) = ∫ dmu(x)/(x - z)², for the same z as `stieltjes`; infinite at a square-root edge."""

    def transforms(self, z: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return m(z) and m'(z), for the same z as `stieltjes`; together where that is cheaper."""
        return np.asarray(self.stieltjes(z)), np.asarray(self.stieltjes_slope(z))

    @abstractmethod
    def density(self, x: ArrayLike) -> Floats:
        """Return the density of the continuous part at real x, of any shape; 0 off the support."""

    @abstractmethod
    def cdf(self, x: ArrayLike) -> Floats:
        """Return mu((-inf, x]), atoms included, at real x of any shape."""

    @abstractmethod
    def moments(self, count: int) -> Floats:
        """Return the moments ∫ x^k dmu for k = 1, ..., count."""

    def quantile(self, q: ArrayLike) -> Floats:
        """Return the smallest x with cdf(x) >= q.

        Args:
            q: Probabilities in (0, 1), any shape.

        Raises:
            BadInput: If a probability is outside (0, 1).
        """
        wanted = np.asarray(q, float)
        flat = wanted.ravel()
        if not ((flat > 0) & (flat < 1)).all():
            raise BadInput(f"quantile: q = {wanted} must lie strictly between 0 and 1")
        flat = flat * self.mass
        found = np.empty_like(flat)
        # Pieces in ascending order, each with the mass up to its end: an atom is a piece of no width.
        pieces = sorted([(lo, hi) for lo, hi in self.support] + [(a, a) for a, _ in self.atoms])
        ends = np.maximum.accumulate(self.cdf([hi for _, hi in pieces]))
        which = np.minimum(np.searchsorted(ends, flat), len(pieces) - 1)
        lower = np.array([lo for lo, _ in pieces])[which]
        upper = np.array([hi for _, hi in pieces])[which]
        found[:] = upper
        inside = np.flatnonzero(upper > lower)
        if inside.size:
            low, high, target = lower[inside], upper[inside], flat[inside]
            noise = ROUNDING * self.mass

            def residual(x: Floats, index: NDArray[np.intp]) -> tuple[Floats, Floats, float]:
                return self.cdf(x) - target[index], self.density(x), noise

            problem = Root(residual, lower=low, upper=high)
            found[inside] = solve(problem, Bracketed(), 0.5 * (low + high), tolerance=0.0).value
        return found.reshape(wanted.shape)


def real_or_complex(z: ArrayLike, *, name: str = "z") -> NDArray[np.complex128]:
    """Return z as complex, refusing the lower half-plane and what is not finite."""
    values = np.asarray(z, complex)
    if not np.isfinite(values).all() or (values.imag < 0).any():
        raise BadInput(f"{name} must be finite and in the closed upper half-plane")
    return values


def in_digits(value: Any, digits: int) -> str:
    """Return an mpmath number as a decimal string of so many significant digits."""
    return str(mpmath.nstr(value, digits, strip_zeros=False, min_fixed=-digits, max_fixed=digits))
