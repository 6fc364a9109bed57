"""Balls of python-flint, and what is proved once one is small enough: a decimal string and a radius."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import mpmath

from rmtfl.errors import BadInput

#: Digits beyond those asked for that the work is done with, before it is tried again with twice as many.
GUARD = 20


#: Attempts, each with twice the digits of the one before.
ATTEMPTS = 5


@dataclass(frozen=True)
class Enclosure:
    """A proved interval.

    Attributes:
        value: The middle, as a decimal string with the digits that are proved.
        radius: The true value is within this of `value`.
        digits: How many significant digits that is.
    """

    value: str
    radius: float
    digits: int

    @property
    def statement(self) -> str:
        """What may be said of it."""
        return f"proved to {self.digits} digits"

    def contains(self, x: Any) -> bool:
        """Tell whether x (anything that mpmath reads) is in the interval."""
        with mpmath.workdps(self.digits + 30):
            return bool(abs(mpmath.mpf(x) - mpmath.mpf(self.value)) <= self.radius)


def library() -> Any:
    """Return python-flint, or say how to install it."""
    try:
        import flint
    except ImportError as missing:
        raise BadInput("certificates need python-flint: install rmtfl[certify]") from missing
    return flint


@contextmanager
def precision(bits: int) -> Iterator[None]:
    """Work with so many bits within."""
    flint = library()
    before = flint.ctx.prec
    flint.ctx.prec = bits
    try:
        yield
    finally:
        flint.ctx.prec = before


def precisions(digits: int) -> list[int]:
    """Return the bits of each attempt at so many digits."""
    return [int(3.33 * (digits + GUARD)) * 2**k for k in range(ATTEMPTS)]


def exactly(x: Fraction) -> Any:
    """Return the ball around a rational, of the working precision."""
    flint = library()
    return flint.arb(flint.fmpq(x.numerator, x.denominator))


def from_mpf(x: Any) -> Any:
    """Return an mpf exactly."""
    sign, mantissa, exponent, _ = x._mpf_
    return exactly(Fraction(-int(mantissa) if sign else int(mantissa)) * Fraction(2) ** exponent)


def enclose(x: Any, digits: int, *, absolute: bool = False) -> Enclosure | None:
    """Return an enclosure of the given digits from a ball, or None where the ball is too wide."""
    middle, radius = x.mid(), float(x.rad())
    size = float(abs(middle))
    scale = max(size, 1.0) if absolute else size
    if not x.is_finite() or not radius <= 0.25 * 10.0**-digits * scale:
        return None
    text = middle.str(digits + 3, radius=False)
    # What rounding the middle to that string costs is added, with room for the float.
    written = float(abs(exactly(Fraction(text)) - middle).upper())
    return Enclosure(text, (radius + written) * (1 + 1e-12), digits)
