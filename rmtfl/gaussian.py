"""Gaussian calculus: expectations of links under N(0, 1) and under a pair of correlated Gaussians.

Three number contexts share one interface: exact rationals (polynomial links), doubles, and any number of digits.

Doubles. An analytic integrand is integrated by the trapezoid rule on the whole line: for a function analytic in a strip
of half-width ω the error is exp(-2πω/h), which beats Gauss-Hermite for links with poles (tanh, sigmoid). A kinked
integrand is cut at its kinks into Gauss-Legendre panels; a plain rule across a kink would converge like m^(-1/2) and is
never used. Steps shrink by a factor that is not a power of two, so that two levels never share their aliasing, until
two successive levels agree; their difference, which is the error of the coarser one, is the error reported.

Digits. mpmath's tanh-sinh quadrature between the kinks, at two precisions' worth of working digits.

It breaks down for links with a feature much narrower than the first steps (about 0.2). One that a step sees does not
settle, and is refused; one that falls between all nodes, such as 1e4 exp(-1e8 (x - 1/7)²), is not seen at all: no rule
that samples a function can. Such links must not be used.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import mpmath
import numpy as np
import sympy as sp
from numpy.typing import NDArray

from rmtfl.errors import BadInput, ToleranceNotMet
from rmtfl.links import Link, parse
from rmtfl.pieces import X

Array = NDArray[np.float64]

TOLERANCE = 1e-13  # relative to E|f|: what doubles reach without compensated sums
EPSILON = float(np.finfo(float).eps)
REACHES = (9.0, 12.0, 16.0, 22.0, 30.0, 37.0)  # half-widths of the integration range; φ(9) is 1e-18, φ(37) is 1e-298
SHRINK = 0.6  # of the step from level to level
LEVELS = 11  # 0.5 * 0.6**10 = 0.003 is the finest step
PANEL_ORDER = 16  # Gauss-Legendre nodes a panel


@dataclass(frozen=True)
class Value:
    """A number and how far it may be off."""

    value: Any
    error: Any


@lru_cache(maxsize=64)
def legendre(order: int) -> tuple[Array, Array]:
    """The Gauss-Legendre rule on [-1, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(order)
    return nodes, weights


def panels(edges: Sequence[float], order: int = PANEL_ORDER) -> tuple[Array, Array]:
    """A composite Gauss-Legendre rule on the panels between ascending edges, for Lebesgue measure."""
    nodes, weights = legendre(order)
    ends = np.asarray(edges, dtype=float)
    half: Array = np.diff(ends)[:, None] / 2
    middle = (ends[1:] + ends[:-1])[:, None] / 2
    return (middle + half * nodes).ravel(), (half * weights).ravel()


def density(x: Array) -> Array:
    """The density of N(0, 1)."""
    return np.asarray(np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi))


def rule(kinks: Sequence[float], level: float, reach: float) -> tuple[Array, Array]:
    """Nodes and weights for E f(h), h ~ N(0, 1): trapezoid if there are no kinks, else panels cut at them."""
    inside = sorted({k for k in kinks if -reach < k < reach})
    step = 0.5 * SHRINK**level
    if not inside:
        count = math.ceil(reach / step)
        x: Array = np.arange(-count, count + 1) * step
        return x, step * density(x)
    ends = [-reach, *inside, reach]
    edges = [-reach]
    for left, right in itertools.pairwise(ends):
        pieces = max(1, math.ceil((right - left) / (6 * step)))
        edges.extend(np.linspace(left, right, pieces + 1)[1:])
    nodes, weights = panels(edges)
    return nodes, weights * density(nodes)


def integrate(function: Callable[[Array], Array], kinks: Sequence[float] = (), tolerance: float = TOLERANCE) -> Value:
    """E f(h) for h ~ N(0, 1), f vectorised from shape (m,) to (..., m) and analytic between the kinks.

    The tolerance is relative to E|f|. Returns floats, or arrays of shape (...).

    Raises:
        ToleranceNotMet: if two successive levels never agree, or f is not finite.
    """
    reach = _reach(function)
    previous = None
    with np.errstate(all="ignore"):
        for level in range(LEVELS):
            x, w = rule(kinks, level, reach)
            values = np.asarray(function(x))
            if not np.all(np.isfinite(values)):
                break
            total, size = values @ w, np.abs(values) @ w
            if previous is not None and level >= 2:
                error = np.abs(total - previous) + 8 * EPSILON * size
                if np.all(error <= np.maximum(tolerance * size, 1e-300)):
                    return Value(total, error)
            previous = total
    raise ToleranceNotMet(
        "a Gaussian expectation did not settle: the integrand grows too fast, oscillates too fast or has a pole"
    )


def _reach(function: Callable[[Array], Array]) -> float:
    """The half-width beyond which |f| φ is below 1e-18 of its largest value."""
    with np.errstate(all="ignore"):
        inner = np.linspace(-8.0, 8.0, 65)
        size = np.max(np.abs(function(inner)) * density(inner), axis=-1)
        for reach in REACHES:
            ends = np.array([-reach - 0.5, -reach, reach, reach + 0.5])
            if np.all(np.max(np.abs(function(ends)) * density(ends), axis=-1) <= 1e-17 * size + 1e-300):
                return reach
    raise ToleranceNotMet("a Gaussian expectation does not exist: the integrand grows faster than exp(x**2/2)")


# ------------------------------------------------------------------------------------------------ products of links


def expectation(*factors: Link, digits: int | None = None) -> Value:
    """E Π f_i(h), h ~ N(0, 1), over links f_i (repeat one for a power), split at all their kinks.

    Args:
        factors: the links; no factor gives 1.
        digits: None for doubles, else the number of correct decimal digits wanted, as an mpmath number.

    Raises:
        ToleranceNotMet: if the expectation does not exist or the digits cannot be reached.

    Examples:
        >>> from rmtfl.links import parse
        >>> expectation(parse("x**2"), parse("relu(x)")).value  # E x² relu(x) = 2/√(2π)
        0.797884...
    """
    exact = exact_expectation(*factors)
    if digits is not None:
        return _expectation_digits(factors, exact, digits)
    if exact is not None:
        return Value(float(exact), EPSILON * abs(float(exact)))
    return _expectation_floats(factors)


@lru_cache(maxsize=4096)
def _expectation_floats(factors: tuple[Link, ...]) -> Value:
    functions = [link.numpy() for link in factors]

    def product(x: Array) -> Array:
        result = functions[0](x)
        for function in functions[1:]:
            result = result * function(x)
        return result

    kinks = sorted({k for link in factors for k in link.breakpoints})
    found = integrate(product, kinks)
    return Value(float(found.value), float(found.error))


@lru_cache(maxsize=4096)
def exact_expectation(*factors: Link) -> Fraction | None:
    """The same as a rational, if every link is a polynomial with rational coefficients; else None."""
    if not all(link.is_polynomial for link in factors):
        return None
    product = sp.Poly(sp.prod([link.pieces[0] for link in factors]), X)
    total = Fraction(0)
    for (power,), coefficient in product.terms():
        if power % 2 == 0:
            total += Fraction(int(coefficient.p), int(coefficient.q)) * int(sp.factorial2(power - 1))
    return total


def _expectation_digits(factors: tuple[Link, ...], exact: Fraction | None, digits: int) -> Value:
    with mpmath.workdps(digits + 15):
        if exact is not None:
            value = mpmath.mpf(exact.numerator) / exact.denominator
            return Value(value, abs(value) * mpmath.mpf(10) ** (-digits - 10))
        kinks = sorted({k for link in factors for k in link.kinks}, key=float)
        cuts = [_digits_of(k, digits) for k in kinks]
        reach = _reach_digits(factors, [abs(k) for k in cuts], digits)
        total, size, error = mpmath.mpf(0), mpmath.mpf(0), mpmath.mpf(0)
        for left, right in itertools.pairwise([-reach, *cuts, reach]):
            integrand = _piece_product(factors, (left + right) / 2)
            for a, b in _short(left, right):
                part, uncertainty = mpmath.quad(integrand, [a, b], error=True, maxdegree=10)
                total, size, error = total + part, size + abs(part), error + uncertainty
        if error > mpmath.mpf(10) ** (-digits) * size:
            raise ToleranceNotMet(f"an expectation could not be computed to {digits} digits; ask for fewer")
        return Value(total, error + size * mpmath.mpf(10) ** (-digits - 5))


def _reach_digits(factors: tuple[Link, ...], beyond: list[Any], digits: int) -> Any:
    """A half-width past every kink, outside of which the integrand is too small to matter."""
    reach = max([mpmath.sqrt(2 * (digits + 25) * mpmath.log(10)) + 8, *[k + 1 for k in beyond]])
    smallest = mpmath.mpf(10) ** (-digits - 15)
    for _ in range(12):
        ends = [mpmath.mpf(0), -reach, reach]
        middle, left, right = (abs(_piece_product(factors, x)(x)) for x in ends)
        if max(left, right) <= smallest * max(middle, mpmath.mpf(1) / 10**6):
            return reach
        reach *= mpmath.mpf(5) / 4
    raise ToleranceNotMet("a Gaussian expectation does not exist: the integrand grows faster than exp(x**2/2)")


def _piece_product(factors: tuple[Link, ...], point: Any) -> Callable[[Any], Any]:
    pieces = []
    for link in factors:
        index = sum(1 for k in link.kinks if float(k) < float(point))
        pieces.append(link.mpmath_pieces()[index])
    norm = 1 / mpmath.sqrt(2 * mpmath.pi)

    def integrand(x: Any) -> Any:
        result = norm * mpmath.exp(-x * x / 2)
        for piece in pieces:
            result *= piece(x)
        return result

    return integrand


def _short(left: Any, right: Any) -> list[tuple[Any, Any]]:
    """Cut an interval into stretches of length at most 4, on which tanh-sinh quadrature converges fast."""
    count = max(1, int(mpmath.ceil((right - left) / 4)))
    ends = [left + (right - left) * i / count for i in range(count + 1)]
    return list(itertools.pairwise(ends))


def hermite_coefficient(link: Link, order: int, digits: int | None = None) -> Value:
    """E[He_k(h) f(h)], which is E f^(k)(h) whenever that exists as a function."""
    return expectation(link, parse(f"He{order}(x)"), digits=digits)


def check_square_integrable(link: Link, key: str) -> None:
    """Refuse a link whose Gaussian second moment is not finite, or cannot be shown to be.

    Raises:
        BadInput: naming the key and the link.
    """
    try:
        expectation(link, link)
    except ToleranceNotMet:
        raise BadInput(
            f"key {key!r}: {link.text!r} has no finite Gaussian second moment that could be computed; expected a real "
            "function on the whole line that grows slower than exp(x**2/4), and does not vary on scales far below 1"
        ) from None


# ------------------------------------------------------------------------------------------------ two variables


def pair_expectation(
    first: Link, second: Link, correlation: float | Fraction, tolerance: float = 1e-12, digits: int | None = None
) -> Value:
    """E f(u) g(v) for standard Gaussians u, v of the given correlation; the tolerance is relative to √(E f² E g²).

    The inner integral over v given u is cut where v meets a kink of g; the outer one at the kinks of f and, when the
    pair is nearly degenerate, graded towards the points where the smoothed kinks of g are narrow.

    Raises:
        ToleranceNotMet: if two successive levels never agree.
        BadInput: if the correlation is outside [-1, 1].
    """
    if not -1 <= correlation <= 1:
        raise BadInput(f"a correlation is in [-1, 1], not {correlation}")
    if digits is not None:
        return _pair_digits(first, second, Fraction(correlation), digits)
    correlation = float(correlation)
    spread = math.sqrt((1 - correlation) * (1 + correlation))
    f, g = first.numpy(), second.numpy()
    if spread == 0:
        return integrate(
            lambda x: f(x) * g(correlation * x), [*first.breakpoints, *(correlation * k for k in second.breakpoints)]
        )
    cuts = np.array(second.breakpoints)
    outer_kinks = list(first.breakpoints)
    for cut in second.breakpoints if spread < 0.5 else ():
        centre, width = cut / correlation, spread / abs(correlation)
        outer_kinks += [centre + side * width * 3.0**j for side in (-1, 1) for j in range(-1, 8)] + [centre]
    reach = max(_reach(lambda x: f(x) ** 2), _reach(lambda x: g(x) ** 2))
    size = math.sqrt(expectation(first, first).value * expectation(second, second).value)
    previous = None
    for level in range(1, 7):
        u, weights = rule(outer_kinks, level, reach)
        inner = _inner(g, correlation * u, spread, cuts, level, reach)
        total = float(weights @ (f(u) * inner))
        if previous is not None:
            error = abs(total - previous) + 16 * EPSILON * size
            if error <= max(tolerance * size, 1e-300):
                return Value(total, error)
        previous = total
    raise ToleranceNotMet("a two-variable Gaussian expectation did not settle; ask for it in digits")


def _inner(g: Callable[[Array], Array], mean: Array, spread: float, cuts: Array, level: int, reach: float) -> Array:
    """E g(mean + spread t) for each mean, cut at g's kinks."""
    if cuts.size == 0:
        t, w = rule((), level, reach)
        return np.asarray(g(mean[:, None] + spread * t) @ w)
    ends = np.clip((cuts[None, :] - mean[:, None]) / spread, -reach, reach)
    ends = np.concatenate([np.full((mean.size, 1), -reach), ends, np.full((mean.size, 1), reach)], axis=1)
    nodes, weights = legendre(PANEL_ORDER)
    count = math.ceil(reach / (3 * 0.5 * SHRINK**level))
    fractions = (np.arange(count)[:, None] + (nodes + 1) / 2).ravel() / count
    lengths = np.diff(ends, axis=1)
    t = ends[:, :-1, None] + lengths[:, :, None] * fractions
    w = lengths[:, :, None] * np.tile(weights / 2, count) / count * density(t)
    # A node at the end of a panel must be evaluated on its own side of the kink: nodes are interior, so it is.
    return np.asarray((g(mean[:, None, None] + spread * t) * w).sum(axis=(1, 2)))


def _pair_digits(first: Link, second: Link, correlation: Fraction, digits: int) -> Value:
    """The same by nested tanh-sinh quadrature."""
    with mpmath.workdps(digits + 10):
        rho = mpmath.mpf(correlation.numerator) / correlation.denominator
        spread = mpmath.sqrt(1 - rho * rho)
        reach = mpmath.sqrt(2 * (digits + 15) * mpmath.log(10)) + 4
        norm = 1 / mpmath.sqrt(2 * mpmath.pi)

        def over(function: Callable[[Any], Any], cuts: Sequence[Any]) -> Any:
            ends = sorted([-reach, *[c for c in cuts if -reach < c < reach], reach])
            total = mpmath.mpf(0)
            for left, right in itertools.pairwise(ends):
                for a, b in _short(left, right):
                    total += mpmath.quad(lambda x: norm * mpmath.exp(-x * x / 2) * function(x), [a, b])
            return total

        f, g = _evaluator(first), _evaluator(second)
        cuts_first = [_digits_of(k, digits) for k in first.kinks]
        cuts_second = [_digits_of(k, digits) for k in second.kinks]

        def inner(u: Any) -> Any:
            return over(lambda t: g(rho * u + spread * t), [(c - rho * u) / spread for c in cuts_second])

        value = over(lambda u: f(u) * inner(u), cuts_first)
        return Value(value, max(abs(value), 1) * mpmath.mpf(10) ** (-digits))


def _digits_of(number: Any, digits: int) -> Any:
    return sp.N(number, digits + 20)._to_mpmath(mpmath.mp.prec)


def _evaluator(link: Link) -> Callable[[Any], Any]:
    pieces, kinks = link.mpmath_pieces(), [_digits_of(k, mpmath.mp.dps) for k in link.kinks]
    return lambda x: pieces[sum(1 for k in kinks if k < x)](x)
