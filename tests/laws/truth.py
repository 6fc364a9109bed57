"""The truth about an atomic population: certified roots of its algebraic equations, in exact rationals.

Nothing of `rmtfl` is used. The equations' numerators are polynomials with integer coefficients; python-flint
isolates all their complex roots with proof, at any precision. Slow and sure.
"""

from __future__ import annotations

from contextlib import contextmanager
from fractions import Fraction

import flint
import mpmath
import numpy as np
from flint import arb, fmpq, fmpq_poly


@contextmanager
def precision(bits: int):
    before = flint.ctx.prec
    flint.ctx.prec = bits
    try:
        yield
    finally:
        flint.ctx.prec = before


def rational(x) -> fmpq:
    exact = Fraction(x)
    return fmpq(exact.numerator, exact.denominator)


def merged(atoms, weights) -> list[tuple[fmpq, fmpq]]:
    total: dict[float, fmpq] = {}
    for t, w in zip(np.asarray(atoms, float).tolist(), np.asarray(weights, float).tolist(), strict=True):
        total[t] = total.get(t, fmpq(0)) + rational(w)
    return [(rational(t), w) for t, w in sorted(total.items()) if t > 0 and w > 0]


def partial_products(factors: list[fmpq_poly]) -> tuple[fmpq_poly, list[fmpq_poly]]:
    """Return the product of all factors, and the products of all but each one."""
    left, right = [fmpq_poly([1])], [fmpq_poly([1])]
    for f in factors:
        left.append(left[-1] * f)
    for f in reversed(factors):
        right.append(right[-1] * f)
    right.reverse()
    return left[-1], [a * b for a, b in zip(left[:-1], right[1:], strict=True)]


class Truth:
    """Edges, densities and outliers of a generalized Marchenko-Pastur law, enclosed."""

    def __init__(self, ratio, atoms, weights, digits=50) -> None:
        self.gamma, self.pairs, self.digits = rational(ratio), merged(atoms, weights), digits
        self.bits = int(3.33 * digits) + 64
        full, rest = partial_products([fmpq_poly([-t, 1]) for t, _ in self.pairs])
        self.bottom = full
        top = full
        for (t, w), other in zip(self.pairs, rest, strict=True):
            top = top + other * (self.gamma * w * t)
        self.top = fmpq_poly([0, 1]) * top  # z = top/bottom

    def edges(self) -> list[mpmath.mpf]:
        """Return all edges, ascending: z at the real roots of z' = 0, which come in the same order."""
        slope = self.top.derivative() * self.bottom - self.top * self.bottom.derivative()
        with precision(4 * self.bits):
            real = sorted(
                (r.real for r, _ in slope.numer().complex_roots() if r.imag == 0), key=lambda u: float(u.mid())
            )
            return [as_mpf(self.image(u), self.digits) for u in real]

    def image(self, u):
        return _horner(self.top, u) / _horner(self.bottom, u)

    def density(self, x) -> mpmath.mpf:
        """Return the density at the double x: 0 where all roots are real."""
        poly = self.top - self.bottom * rational(x)
        with precision(self.bits):
            for r, _ in poly.numer().complex_roots():
                if r.imag > 0:
                    square = r.real * r.real + r.imag * r.imag
                    return as_mpf(r.imag / (square * arb(self.gamma) * arb.pi()), self.digits)
        return mpmath.mpf(0)


def _horner(poly, u):
    value = arb(0)
    for c in reversed(poly.coeffs()):
        value = value * u + arb(c)
    return value


def as_mpf(x: arb, digits: int) -> mpmath.mpf:
    """Return an enclosure's midpoint, insisting that it is as narrow as the digits asked for."""
    with mpmath.workdps(digits + 20):
        mid = mpmath.mpf(str(x.mid().str(digits + 20, radius=False)))
    if float(x.rad()) > 0:
        assert x.rel_accuracy_bits() > 3.3 * digits, f"only {x.rel_accuracy_bits()} bits"
    return mid
