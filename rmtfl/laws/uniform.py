"""A population with a piecewise-constant density, and atoms: log transforms in closed form.

For mass w spread evenly over [a, b], m(z) = ∫ dt/(b - a)/(t - z) = log((b - z)/(a - z))/(b - a); the pieces and atoms
add. Far from the support the logarithm is taken of 1 + (b - a)/(a - z), so that nothing cancels. Checked by quadrature
in tests/laws/test_subordinated.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rmtfl.errors import BadInput
from rmtfl.laws.base import Floats, Interval, Law, real_or_complex


@dataclass(frozen=True)
class PiecewiseUniform(Law):
    """Even masses over intervals, beside atoms.

    Attributes:
        pieces: (low, high, mass) of each interval: ascending, not overlapping.
        masses: (location, mass) of each atom.
    """

    pieces: tuple[tuple[float, float, float], ...]
    masses: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        ends = [end for low, high, _ in self.pieces for end in (low, high)]
        if not self.pieces or ends != sorted(ends) or any(low >= high for low, high, _ in self.pieces):
            raise BadInput(f"pieces = {self.pieces}: ascending intervals (low, high, mass) are needed")
        every = [mass for *_, mass in (*self.pieces, *self.masses)]
        if min(every) <= 0 or abs(sum(every) - 1) > 1e-12:
            raise BadInput(f"pieces, masses: positive masses that sum to 1 are needed, not {every}")

    @property
    def support(self) -> tuple[Interval, ...]:
        """The intervals."""
        return tuple((low, high) for low, high, _ in self.pieces)

    @property
    def atoms(self) -> tuple[tuple[float, float], ...]:
        """The atoms."""
        return self.masses

    def stieltjes(self, z: ArrayLike) -> NDArray[np.complex128]:
        """Return m(z)."""
        z = real_or_complex(z)
        with np.errstate(divide="ignore", invalid="ignore"):
            total = sum((mass / (place - z) for place, mass in self.masses), np.zeros(z.shape, complex))
            for low, high, mass in self.pieces:
                value = np.log1p((high - low) / (low - z))
                # On the interval itself the limit from above is on the other side of the cut.
                value = np.where((z.imag == 0) & (z.real > low) & (z.real < high), value.real + 1j * np.pi, value)
                total = total + mass / (high - low) * value
        return np.asarray(total)

    def stieltjes_slope(self, z: ArrayLike) -> NDArray[np.complex128]:
        """Return m'(z)."""
        z = real_or_complex(z)
        with np.errstate(divide="ignore", invalid="ignore"):
            total = sum((mass / (place - z) ** 2 for place, mass in self.masses), np.zeros(z.shape, complex))
            for low, high, mass in self.pieces:
                total = total + mass / ((low - z) * (high - z))
        return np.asarray(total)

    def density(self, x: ArrayLike) -> Floats:
        """Return the density of the intervals' part."""
        x = np.asarray(x, float)
        return np.asarray(sum(mass / (high - low) * ((x > low) & (x < high)) for low, high, mass in self.pieces))

    def cdf(self, x: ArrayLike) -> Floats:
        """Return the distribution function."""
        x = np.asarray(x, float)
        total = sum((mass * (x >= place) for place, mass in self.masses), np.zeros(x.shape))
        for low, high, mass in self.pieces:
            total = total + mass * np.clip((x - low) / (high - low), 0.0, 1.0)
        return np.asarray(total)

    def moments(self, count: int) -> Floats:
        """Return the moments."""
        orders = np.arange(1, count + 1)
        total = sum((mass * place**orders for place, mass in self.masses), np.zeros(count))
        for low, high, mass in self.pieces:
            total = total + mass * (high ** (orders + 1) - low ** (orders + 1)) / ((orders + 1) * (high - low))
        return np.asarray(total)
