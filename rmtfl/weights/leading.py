"""The spikes in leading order as N → ∞: exponents, constants, what vanishes, what is learned.

Expanding in the first step, the k-th term of W₂ is η₂ s₁^k N^{-1/2} ā^{k+1} V_k^T with V_k = X₂^T H_k/n and
H_k = (y/k!) E_{h,ξ}[σ^(k+1)(h) ζ^k], ζ = μ₁ G + c₀ μ₂ h + ξ + ρ φ y σ'(h): a polynomial in (y, G) whose coefficients
are Gaussian moments (theory/two-step.md, `two-step.constants`). The k = 0 term joins the first step's spike. At
separated scales the strengths are products of Gram-Schmidt residuals, of ā^{k+1} on the left and of V_k on the right.

This expansion needs σ smooth or the batches independent, or k = 0. A kink seen by the self term of a reused batch is
crossed at first order in |ā| as well as in ā, which no Taylor series has: see `rmtfl.weights.kinked`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import comb, factorial
from typing import Any

import mpmath

from rmtfl.gaussian import EPSILON
from rmtfl.weights import second_layer
from rmtfl.weights.moments import Moments

Polynomial = dict[tuple[int, int], Any]  # (power of y, power of G) -> coefficient

ROUNDING_POWER = 0.75  # a residual below eps^0.75, relative, is what rounding leaves of a vector in a span


@dataclass(frozen=True)
class Term:
    """One order of the expansion.

    Attributes:
        right: squared norm of the right vector's residual after the earlier ones.
        left: the same for ā^{k+1}, after the powers of those earlier orders that do not vanish.
        kappa: overlap of the right vector with the target.
        residual_kappa: overlap of its residual with the target.
        norm: squared norm of the right vector.
    """

    right: Any
    left: Any
    kappa: Any
    residual_kappa: Any
    norm: Any


def terms(moments: Moments, count: int, reused: bool, joined: tuple[Any, Any]) -> list[Term]:
    """The terms k = 0 … count − 1, the vector of k = 0 being joined[0] b + joined[1] V₀."""
    frame = _Frame(moments, reused)
    b = _Vector({(1, 0): moments.number(1)}, direction=True)
    polynomials = [_polynomial(frame, k) for k in range(count)]
    vectors = [[(joined[0], b), (joined[1], _Vector(polynomials[0]))]]
    vectors += [[(moments.number(1), _Vector(polynomial))] for polynomial in polynomials[1:]]

    def right(j: int, k: int) -> Any:
        return _sum(x * y * frame.product(u, v) for x, u in vectors[j] for y, v in vectors[k])

    def left(j: int, k: int) -> Any:
        return moments.number(second_layer.moment(moments.setup.network.second_layer, j + k + 2))

    kappas = [_sum(x * frame.along(v) for x, v in vector) for vector in vectors]
    right_norms, reduced = _residuals(right, kappas, count)
    left_norms = _left_residuals(left, [present(right_norms[k], right(k, k)) for k in range(count)])
    return [Term(right_norms[k], left_norms[k], kappas[k], reduced[k], right(k, k)) for k in range(count)]


def present(residual: Any, norm: Any) -> bool:
    """Whether a vector of this squared norm has a residual of its own, up to rounding."""
    eps = mpmath.eps if isinstance(norm, mpmath.mpf) else EPSILON
    return bool(residual > eps**ROUNDING_POWER * max(norm, eps**ROUNDING_POWER))


def _left_residuals(gram: Callable[[int, int], Any], there: list[bool]) -> list[Any]:
    """Squared norms of what is left of each left vector after the earlier ones of orders that are there at all."""
    norms = []
    for k in range(len(there)):
        kept = [*(j for j in range(k) if there[j]), k]
        found, _ = _residuals(_among(gram, kept), [0] * len(kept), len(kept))
        norms.append(found[-1])
    return norms


def _among(gram: Callable[[int, int], Any], kept: list[int]) -> Callable[[int, int], Any]:
    return lambda i, j: gram(kept[i], kept[j])


def _residuals(gram: Callable[[int, int], Any], along: list[Any], count: int) -> tuple[list[Any], list[Any]]:
    """Squared norms of the Gram-Schmidt residuals, and what remains of the overlaps `along` a fixed direction."""
    rows: list[list[Any]] = []
    norms: list[Any] = []
    remains: list[Any] = []
    there: list[bool] = []  # what rounding leaves of a vector that is not there has no direction
    for k in range(count):
        coefficients: list[Any] = []
        for j in range(k):
            value = gram(j, k) - _sum(coefficients[i] * rows[j][i] * norms[i] for i in range(j))
            coefficients.append(value / norms[j] if there[j] else 0 * value)
        norm = gram(k, k) - _sum(c * c * n for c, n in zip(coefficients, norms, strict=True))
        rows.append(coefficients)
        norms.append(norm if norm > 0 else 0 * norm)
        there.append(present(norms[k], gram(k, k)))
        remains.append(along[k] - _sum(c * r for c, r in zip(coefficients, remains, strict=True)))
    return norms, remains


def _sum(numbers: Any) -> Any:
    total: Any = 0
    for number in numbers:
        total = total + number
    return total


@dataclass(frozen=True)
class _Vector:
    """X₂^T H/n for a polynomial H in (y, G); or b itself, which is X₁^T y/n."""

    polynomial: Polynomial
    direction: bool = False


class _Frame:
    """Expectations and Gram products of polynomials in (y, G), G = c₁ z + √(φ m₂) g."""

    def __init__(self, moments: Moments, reused: bool) -> None:
        self.moments = moments
        self.reused = reused
        self.phi = moments.number(moments.setup.sizes.phi)
        self.c0, self.c1, self.m2 = moments.label(0, 1), moments.label(1, 1), moments.label(0, 2)
        self.across = self.phi * self.m2
        self.mu1 = moments.activation(1, 0, 0)
        self.mu2 = moments.activation(1, 0, 1)
        self.v1 = moments.activation(1, 1, 0) - self.mu1**2

    def expect(self, polynomial: Polynomial, z_power: int = 0, y_power: int = 0) -> Any:
        """E[z^z_power y^y_power P(y, G)]."""
        total = self.moments.number(0)
        for (p, q), coefficient in polynomial.items():
            for r in range(0, q + 1, 2):
                gaussian = factorial(r) // (2 ** (r // 2) * factorial(r // 2))
                moment = self.moments.label(z_power + q - r, y_power + p)
                total += coefficient * comb(q, r) * gaussian * self.c1 ** (q - r) * self.across ** (r // 2) * moment
        return total

    def along(self, vector: _Vector) -> Any:
        """The overlap with the target."""
        return self.c1 if vector.direction else self.expect(vector.polynomial, z_power=1)

    def slope(self, polynomial: Polynomial) -> Any:
        """q_H = E ∂_G H."""
        return self.expect({(p, q - 1): q * c for (p, q), c in polynomial.items() if q})

    def product(self, first: _Vector, second: _Vector) -> Any:
        """The Gram product of two vectors (theory/two-step.md, `two-step.gram`)."""
        if first.direction and second.direction:
            return self.c1**2 + self.across
        if first.direction or second.direction:
            H = second.polynomial if first.direction else first.polynomial
            crossed = self.c1 * self.expect(H, z_power=1) + self.across * self.slope(H)
            return crossed + (self.phi * self.expect(H, y_power=1) if self.reused else 0)
        H, K = first.polynomial, second.polynomial
        q_first, q_second = self.slope(H), self.slope(K)
        total = self.along(first) * self.along(second) + self.across * q_first * q_second
        total += self.phi * self.expect(_times(H, K))
        if self.reused:
            total += self.phi * (q_first * self.expect(K, y_power=1) + self.expect(H, y_power=1) * q_second)
        return total


def _times(first: Polynomial, second: Polynomial) -> Polynomial:
    result: Polynomial = {}
    for (p, q), a in first.items():
        for (r, s), b in second.items():
            result[p + r, q + s] = result.get((p + r, q + s), 0) + a * b
    return result


def _polynomial(frame: _Frame, k: int) -> Polynomial:
    """H_k as a polynomial in (y, G), from the multinomial expansion of ζ^k."""
    moments = frame.moments
    result: Polynomial = {}
    specific = frame.across * frame.v1
    for j in range(k + 1 if frame.reused else 1):  # powers of the self term
        for i in range(k - j + 1):  # powers of c0 mu2 h
            for m in range(0, k - j - i + 1, 2):  # powers of xi
                q = k - j - i - m
                ways = factorial(k) // (factorial(j) * factorial(i) * factorial(m) * factorial(q))
                gaussian = factorial(m) // (2 ** (m // 2) * factorial(m // 2))
                scale = frame.phi**j * (frame.c0 * frame.mu2) ** i * specific ** (m // 2) * frame.mu1**q
                weight = moments.number(ways * gaussian) / factorial(k)
                if scale == 0:
                    continue
                coefficient = weight * scale * moments.activation(k + 1, j, i)
                result[1 + j, q] = result.get((1 + j, q), 0) + coefficient
    return result


def root(number: Any) -> Any:
    """The square root in the number's own context."""
    return mpmath.sqrt(number) if isinstance(number, mpmath.mpf) else max(float(number), 0.0) ** 0.5
