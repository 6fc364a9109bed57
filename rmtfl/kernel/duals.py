"""Dual kernels: k(q, q', c) = E σ(g) σ(g') for centred Gaussians of variances q, q' and covariance c.

Derivatives in the covariance follow from Price's theorem, ∂_c k_σ = k_{σ'}. Three families have closed forms:

- powers cut at zero, σ = a x₊^p + b (−x)₊^p (step, sign, relu, leaky relu, abs, relu², …). With D = qq' − c² and
  θ = arg(c + i√D), E x₊^p y₊^p = J_p / 2π where J_0 = π − θ, J_1 = √D + c J_0, J_{p+1} = (2p+1) c J_p + p² D J_{p−1}
  (Cho & Saul 2009 give J_0, J_1, J_2; the recurrence for all p is derived in `theory/spiked-duals.md`).
  Derivatives are p² times the dual one power lower, down to the point mass, 1/(2π√D), whose own derivatives f_m obey
  D f_{m+1} = (2m+1) c f_m + m² f_{m−1}. A smoothing h ~ N(0, v) inside σ adds v to both variances: erf is a smoothed
  sign, exp(−αx²) a smoothed point mass.
- exponentials and sinusoids, from the Gaussian characteristic function;
- polynomials, k = Σ_j c^j/j! E σ^(j)(√q h) E σ^(j)(√q' h), a finite sum.

The determinant D is an argument of its own because near ρ = ±1 the difference qq' − c² would lose the digits on which
(1 − ρ²)^{3/2} and its derivatives rest. Every closed form is tested against the Hermite series of `rmtfl.kernel.series`
and against two-dimensional quadrature.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from rmtfl.links import Link
from rmtfl.pieces import X

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Pair:
    """Covariances of two Gaussians, as arrays of one shape.

    Attributes:
        first: the variance q.
        second: the variance q'.
        covariance: c.
        determinant: qq' − c², given and not recomputed, so that it keeps its digits where it is small.
    """

    first: Array
    second: Array
    covariance: Array
    determinant: Array

    @classmethod
    def of(cls, first: Array, second: Array, covariance: Array) -> Pair:
        """The pair with its determinant computed as a difference."""
        q, r, c = np.broadcast_arrays(
            np.asarray(first, float), np.asarray(second, float), np.asarray(covariance, float)
        )
        return cls(q, r, c, np.maximum(q * r - c * c, 0.0))


class Dual(ABC):
    """A dual kernel in closed form.

    Attributes:
        homogeneity: p if σ(tx) = t^p σ(x) for t > 0, else None.
    """

    homogeneity: int | None = None

    @abstractmethod
    def derivative(self, order: int, pair: Pair) -> Array:
        """∂_c^order k at each pair; order 0 is the kernel. Inputs and result share one shape."""

    def variance(self, q: Array) -> Array:
        """E σ(√q h)² for each variance q."""
        q = np.asarray(q, float)
        return self.derivative(0, Pair(q, q, q, np.zeros_like(q)))


@dataclass(frozen=True)
class CutPower(Dual):
    """The dual of E_h σ(x + √smoothing h), σ = right · x₊^power + left · (−x)₊^power.

    `power` −1 stands for the point mass, with right = its coefficient and left = 0; it needs a smoothing.
    """

    power: int
    right: float
    left: float
    smoothing: float = 0.0

    @property
    def homogeneity(self) -> int | None:  # type: ignore[override]
        """The power, where nothing is smoothed."""
        return self.power if self.smoothing == 0 else None

    def derivative(self, order: int, pair: Pair) -> Array:
        """Closed form; see the module docstring."""
        p, v = self.power, self.smoothing
        c, det = pair.covariance, pair.determinant
        if v:
            det = det + v * (pair.first + pair.second) + v * v
        if order <= p:
            factor = math.perm(p, order) ** 2 / (2 * math.pi)
            value = (self.right**2 + self.left**2) * _cut_power(p - order, c, det)
            if self.right * self.left:
                sign = (-1) ** order
                value = value + 2 * sign * self.right * self.left * _cut_power(p - order, -c, det)
            return np.asarray(factor * value)
        parity = (-1) ** p  # of f_m(−c) = (−1)^m f_m(c) with m = order − p − 1
        factor = math.factorial(max(p, 0)) ** 2 / (2 * math.pi)
        factor *= self.right**2 + self.left**2 - 2 * parity * self.right * self.left
        return np.asarray(factor * _point_mass(order - p - 1, c, det))


def _cut_power(power: int, c: Array, det: Array) -> Array:
    """2π E x₊^p y₊^p."""
    root = np.sqrt(det)
    before: Array = np.pi - np.arctan2(root, c)
    if power == 0:
        return before
    now = root + c * before
    for p in range(1, power):
        before, now = now, (2 * p + 1) * c * now + p * p * det * before
    return now


def _point_mass(order: int, c: Array, det: Array) -> Array:
    """∂_c^order of (qq' − c²)^{−1/2}."""
    now: Array = 1 / np.sqrt(det)
    before = np.zeros_like(now)
    for m in range(order):
        before, now = now, ((2 * m + 1) * c * now + m * m * before) / det
    return now


@dataclass(frozen=True)
class Exponential(Dual):
    """The dual of factor · exp(slope x)."""

    slope: float
    factor: float

    def derivative(self, order: int, pair: Pair) -> Array:
        """Each derivative brings down slope²."""
        s = self.slope**2
        exponent = s * (pair.first + pair.second + 2 * pair.covariance) / 2
        return np.asarray(self.factor**2 * s**order * np.exp(exponent))


@dataclass(frozen=True)
class Cosine(Dual):
    """The dual of factor · cos(frequency x + phase)."""

    frequency: float
    phase: float
    factor: float

    def derivative(self, order: int, pair: Pair) -> Array:
        """From cos a cos b = (cos(a − b) + cos(a + b))/2."""
        s = self.frequency**2
        half, c = (pair.first + pair.second) / 2, pair.covariance
        value = np.exp(-s * (half - c)) + (-1) ** order * math.cos(2 * self.phase) * np.exp(-s * (half + c))
        return np.asarray(self.factor**2 * s**order * value / 2)


@dataclass(frozen=True)
class Polynomial(Dual):
    """The dual of Σ_k coefficients[k] x^k."""

    coefficients: tuple[float, ...]

    @property
    def homogeneity(self) -> int | None:  # type: ignore[override]
        """The degree of a monomial."""
        present = [k for k, a in enumerate(self.coefficients) if a]
        return present[0] if len(present) == 1 else None

    def derivative(self, order: int, pair: Pair) -> Array:
        """A finite sum over the mean derivatives."""
        value = np.zeros_like(pair.covariance)
        for j in range(order, len(self.coefficients)):
            means = self._mean(j, pair.first) * self._mean(j, pair.second)
            value = value + pair.covariance ** (j - order) / math.factorial(j - order) * means
        return value

    def _mean(self, order: int, q: Array) -> Array:
        """E of the order-th derivative at √q h."""
        value = np.zeros_like(q)
        for k, a in enumerate(self.coefficients):
            rest = k - order
            if a and rest >= 0 and rest % 2 == 0:
                value = value + a * math.perm(k, order) * math.prod(range(1, rest, 2)) * q ** (rest // 2)
        return value


@lru_cache(maxsize=256)
def closed_dual(link: Link) -> Dual | None:
    """The link's dual in closed form, or None where no closed form is known here."""
    if not link.kinks:
        return _smooth_dual(link.pieces[0])
    if len(link.kinks) == 1 and link.kinks[0] == 0:
        return _cut_power_dual(*link.pieces)
    return None


def _cut_power_dual(left: sp.Expr, right: sp.Expr) -> Dual | None:
    terms = [_monomial(piece) for piece in (left, right)]
    powers = {power for power, factor in terms if factor}
    if None in powers or len(powers) != 1:
        return None
    power = int(powers.pop() or 0)
    return CutPower(power, right=terms[1][1], left=terms[0][1] * (-1) ** power)


def _monomial(piece: sp.Expr) -> tuple[int | None, float]:
    """(power, coefficient) of a monomial in x; power None for anything else."""
    if not piece.is_polynomial(X):
        return None, 1.0
    terms = sp.Poly(piece, X).terms()
    return (terms[0][0][0], float(terms[0][1])) if len(terms) == 1 else (None, 1.0)


def _smooth_dual(expression: sp.Expr) -> Dual | None:
    if expression.is_polynomial(X):
        return Polynomial(tuple(float(a) for a in reversed(sp.Poly(expression, X).all_coeffs())))
    constant, function = sp.powsimp(expression).as_independent(X, as_Add=False)
    if len(function.args) != 1 or not function.args[0].is_polynomial(X):
        return None
    factor, argument = float(constant), sp.Poly(function.args[0], X)
    b, a, *higher = [float(x) for x in reversed(argument.all_coeffs())]
    if isinstance(function, sp.exp):
        if not higher:
            return Exponential(a, factor * math.exp(b))
        if len(higher) == 1 and a == 0 and higher[0] < 0:
            v = -1 / (2 * higher[0])
            return CutPower(-1, right=factor * math.exp(b) * math.sqrt(2 * math.pi * v), left=0.0, smoothing=v)
        return None
    if higher:
        return None
    if isinstance(function, sp.erf) and b == 0:
        return CutPower(
            0,
            right=math.copysign(factor, factor * a),
            left=-math.copysign(factor, factor * a),
            smoothing=1 / (2 * a * a),
        )
    if isinstance(function, sp.cos):
        return Cosine(a, b, factor)
    if isinstance(function, sp.sin):
        return Cosine(a, b - math.pi / 2, factor)
    return None
