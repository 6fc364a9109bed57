"""Arrays of double-double numbers: unevaluated sums hi + lo that carry about 32 digits.

Error-free transformations (Knuth's two-sum, Dekker's product) and the accurate sums, products and quotients
built on them (Joldes, Muller and Popescu, ACM TOMS 44, 2017): every operation here is correct to less than
16 · 2^-106 relative, and a sum of K terms to less than (3 log2 K + 3) · 2^-106 of the sum of their moduli.
`UNIT` is what the callers' bounds are built on.

Where it breaks down: beyond about 1e±140, where Dekker's splitting overflows or the low part underflows; the
laws refuse populations that reach there. Checked against mpmath in tests/laws/test_doubledouble.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

#: Relative error of one operation, with room: 16 · 2^-106.
UNIT = 2.0**-102

#: 2^27 + 1 splits a double into two halves of 26 bits (Dekker).
_SPLITTER = 134217729.0


def two_sum(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """Return the rounded sum and its rounding error, exactly."""
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


def _quick(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    s = a + b
    return s, b - (s - a)


def two_product(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """Return the rounded product and its rounding error, exactly."""
    p = a * b
    c, d = _SPLITTER * a, _SPLITTER * b
    a1, b1 = c - (c - a), d - (d - b)
    a2, b2 = a - a1, b - b1
    return p, ((a1 * b1 - p) + a1 * b2 + a2 * b1) + a2 * b2


class DoubleDouble:
    """An array of numbers hi + lo, |lo| at most half an ulp of hi."""

    __array_ufunc__ = None
    __slots__ = ("hi", "lo")

    def __init__(self, hi: ArrayLike, lo: ArrayLike = 0.0) -> None:
        high, low = np.asarray(hi, float), np.asarray(lo, float)
        self.hi: Floats
        self.lo: Floats
        self.hi, self.lo = (high, low) if high.shape == low.shape else (high + 0 * low, low + 0 * high)

    def __getitem__(self, key: Any) -> DoubleDouble:
        return DoubleDouble(self.hi[key], self.lo[key])

    def __neg__(self) -> DoubleDouble:
        return DoubleDouble(-self.hi, -self.lo)

    def __add__(self, other: DoubleDouble | ArrayLike) -> DoubleDouble:
        b = _lift(other)
        s, e = two_sum(self.hi, b.hi)
        t, f = two_sum(self.lo, b.lo)
        s, e = _quick(s, e + t)
        return DoubleDouble(*_quick(s, e + f))

    __radd__ = __add__

    def __sub__(self, other: DoubleDouble | ArrayLike) -> DoubleDouble:
        return self + (-_lift(other))

    def __rsub__(self, other: ArrayLike) -> DoubleDouble:
        return _lift(other) + (-self)

    def __mul__(self, other: DoubleDouble | ArrayLike) -> DoubleDouble:
        b = _lift(other)
        p, e = two_product(self.hi, b.hi)
        return DoubleDouble(*_quick(p, e + (self.hi * b.lo + self.lo * b.hi)))

    __rmul__ = __mul__

    def __truediv__(self, other: DoubleDouble | ArrayLike) -> DoubleDouble:
        b = _lift(other)
        q1 = self.hi / b.hi
        rest = self - b * q1
        q2 = rest.hi / b.hi
        rest = rest - b * q2
        q3 = rest.hi / b.hi
        q1, q2 = _quick(q1, q2)
        return DoubleDouble(q1, q2) + DoubleDouble(q3)

    def __rtruediv__(self, other: ArrayLike) -> DoubleDouble:
        return _lift(other) / self

    def sum(self) -> DoubleDouble:
        """Return the sum over the last axis, pairwise."""
        rest = self
        while (n := int(rest.hi.shape[-1])) > 1:
            half = n // 2
            folded = rest[..., :half] + rest[..., half : 2 * half]
            if n % 2:
                folded = concatenate([folded, rest[..., -1:]])
            rest = folded
        total: DoubleDouble = rest[..., 0]
        return total

    def to_float(self) -> Floats:
        """Return the nearest doubles."""
        return np.asarray(self.hi + self.lo)


def _lift(x: DoubleDouble | ArrayLike) -> DoubleDouble:
    return x if isinstance(x, DoubleDouble) else DoubleDouble(x)


def concatenate(parts: list[DoubleDouble]) -> DoubleDouble:
    """Join along the last axis."""
    return DoubleDouble(np.concatenate([p.hi for p in parts], axis=-1), np.concatenate([p.lo for p in parts], axis=-1))
