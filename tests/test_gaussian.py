"""Gaussian calculus against closed forms and many digits: accurate, and honest about how accurate."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from fractions import Fraction
from math import comb, factorial, sqrt

import mpmath
import numpy as np
import pytest

from rmtfl.errors import BadInput, ToleranceNotMet
from rmtfl.gaussian import exact_expectation, expectation, hermite_coefficient, pair_expectation, panels, rule
from rmtfl.links import parse

PI = mpmath.pi


@dataclass(frozen=True)
class Problem:
    """E Π f_i(h) with its exact value, and what makes it hard."""

    slug: str
    links: tuple[str, ...]
    exact: object  # in mpmath, called at 40 digits
    difficulty: str


def gaussian(power):
    return factorial(power) // (2 ** (power // 2) * factorial(power // 2)) if power % 2 == 0 else 0


PROBLEMS = [
    Problem("He4 He4", ("He4(x)", "He4(x)"), lambda: mpmath.mpf(24), "polynomial"),
    Problem("x^20", ("x**20",), lambda: mpmath.mpf(gaussian(20)), "polynomial"),
    Problem("exp", ("exp(x)",), lambda: mpmath.exp(mpmath.mpf(1) / 2), "entire"),
    Problem("exp(4x)", ("exp(4*x)",), lambda: mpmath.exp(8), "peak at x = 4"),
    Problem("cos", ("cos(3*x)",), lambda: mpmath.exp(-mpmath.mpf(9) / 2), "cancels to 1e-2"),
    Problem("sin(5x) x", ("sin(5*x)", "x"), lambda: 5 * mpmath.exp(-mpmath.mpf(25) / 2), "cancels to 2e-5"),
    Problem("sin(5x)^2", ("sin(5*x)", "sin(5*x)"), lambda: (1 - mpmath.exp(-50)) / 2, "oscillates"),
    Problem("growth", ("exp(x**2/5)",), lambda: 1 / mpmath.sqrt(mpmath.mpf(3) / 5), "decays slowly"),
    Problem("growth squared", ("exp(x**2/5)",) * 2, lambda: mpmath.sqrt(5), "decays as exp(-x^2/10)"),
    Problem(
        "Runge",
        ("1/(1 + 25*x**2)",),
        lambda: mpmath.sqrt(PI / 2) / 5 * mpmath.exp(mpmath.mpf(1) / 50) * mpmath.erfc(1 / (5 * mpmath.sqrt(2))),
        "poles at i/5",
    ),
    Problem(
        "narrow bump",
        ("exp(-5000*x**2)",),
        lambda: 1 / mpmath.sqrt(10001),
        "width 0.01",
    ),
    Problem(
        "narrow bump aside",
        ("exp(-5000*(x - 1)**2)",),
        lambda: mpmath.exp(-mpmath.mpf(5000) / 10001) / mpmath.sqrt(10001),
        "width 0.01, between nodes",
    ),
    Problem("erf shifted", ("erf(x + 1)",), lambda: mpmath.erf(1 / mpmath.sqrt(3)), "entire"),
    Problem("erf steep", ("erf(40*x + 20)",), lambda: mpmath.erf(20 / mpmath.sqrt(3201)), "width 0.02"),
    Problem("erf erf", ("erf(x)", "erf(x)"), lambda: 2 / PI * mpmath.asin(mpmath.mpf(2) / 3), "entire"),
    Problem("relu", ("relu(x)",), lambda: 1 / mpmath.sqrt(2 * PI), "kink at 0"),
    Problem("relu He6", ("relu(x)", "He6(x)"), lambda: 3 / mpmath.sqrt(2 * PI), "kink at 0, cancels"),
    Problem(
        "relu aside",
        ("relu(x - 1/3)",),
        lambda: mpmath.npdf(mpmath.mpf(1) / 3) - mpmath.ncdf(-mpmath.mpf(1) / 3) / 3,
        "kink at 1/3",
    ),
    Problem(
        "relu products", ("relu(x - 1)", "relu(2 - x)"), lambda: _two_sided(), "kinks of two factors, support of 1"
    ),
    Problem("abs", ("abs(x)", "x**4"), lambda: 8 * mpmath.sqrt(2 / PI), "kink at 0"),
    Problem("step", ("step(x - 2)",), lambda: mpmath.ncdf(-2), "jump"),
    Problem("far step", ("step(x - 6)",), lambda: mpmath.ncdf(-6), "rare event 1e-9"),
    Problem("two kinks close", ("clip(x, 0, 1/1000)",), lambda: _ramp(mpmath.mpf(1) / 1000), "kinks 1e-3 apart"),
    Problem("sign of a quadratic", ("sign(x**2 - 2)",), lambda: 4 * mpmath.ncdf(-mpmath.sqrt(2)) - 1, "irrational"),
    Problem("tanh is odd", ("tanh(x)",), lambda: mpmath.mpf(0), "zero by symmetry"),
    Problem("softplus", ("softplus(x)", "x"), lambda: mpmath.mpf(1) / 2 * 1, "E sigmoid = 1/2"),
]


def _two_sided():
    f = lambda x: (x - 1) * (2 - x) * mpmath.npdf(x)  # noqa: E731
    return mpmath.quad(f, [1, 2])


def _ramp(width):
    return mpmath.npdf(0) - mpmath.npdf(width) + width * mpmath.ncdf(-width)


IDS = [problem.slug for problem in PROBLEMS]


@pytest.mark.parametrize("problem", PROBLEMS, ids=IDS)
def test_doubles_are_honest_and_accurate(problem):
    links = [parse(text) for text in problem.links]
    found = expectation(*links)
    with mpmath.workdps(40):
        exact = problem.exact()
        off = float(abs(found.value - exact))
    x, w = rule((), 6, 30.0)
    size = np.abs(np.prod([link.numpy()(x) for link in links], axis=0)) @ w
    assert off <= found.error
    # Relative to E|f|: the worst of this table is 1.5e-14 (E exp(6x²/25)², whose integrand reaches 30 deviations).
    assert off <= 1e-13 * size


RESOLVED = [problem for problem in PROBLEMS if "width" not in problem.difficulty]  # by tanh-sinh panels of length 4


@pytest.mark.parametrize("problem", RESOLVED, ids=lambda problem: problem.slug)
def test_thirty_digits(problem):
    found = expectation(*[parse(text) for text in problem.links], digits=30)
    with mpmath.workdps(50):
        off = abs(found.value - problem.exact())
        assert off <= max(found.error, mpmath.mpf(10) ** -40)
        assert off <= mpmath.mpf(10) ** -30 * max(1, abs(problem.exact()))


SMOOTH = ["tanh(x + 7/10)", "sigmoid(2*x - 1)", "softplus(5*x)", "gelu(x)", "atan(3*x)", "x*exp(-x**2)", "silu(x)"]
CUT = ["relu(x - 1/3)", "abs(tanh(x) - 1/2)", "clip(x, -1, 1)", "Max(x, 0) + exp(Min(x, 0)) - 1", "relu(x)**2"]


@pytest.mark.parametrize("order", [0, 1, 3, 6])
@pytest.mark.parametrize("text", [*SMOOTH, *CUT])
def test_hermite_coefficients_against_thirty_digits(text, order):
    link = parse(text)
    found, precise = hermite_coefficient(link, order), hermite_coefficient(link, order, digits=30)
    off = abs(float(found.value - precise.value))
    assert off <= found.error
    assert off <= 1e-12 * sqrt(factorial(order))


@pytest.mark.parametrize("text", SMOOTH)
def test_hermite_coefficients_are_means_of_derivatives(text):
    link = parse(text)
    for order in (1, 2, 3):
        mean = expectation(link.derivative(order))
        assert hermite_coefficient(link, order).value == pytest.approx(mean.value, abs=1e-12)


def test_polynomials_are_exact_rationals():
    for power in range(12):
        assert exact_expectation(parse(f"(x/3)**{power}")) == Fraction(gaussian(power), 3**power)
    assert exact_expectation(parse("He3(x)"), parse("x**3/7")) == Fraction(6, 7)
    assert exact_expectation(parse("pi*x")) is None
    assert exact_expectation() == 1


def test_many_digits():
    with mpmath.workdps(120):
        assert abs(expectation(parse("relu(x)"), digits=100).value - 1 / mpmath.sqrt(2 * PI)) < mpmath.mpf(10) ** -100


@pytest.mark.parametrize("text", ["exp(x**2/2)", "exp(x**2)", "log(x**2)", "exp(6*x**2/25)**2", "sin(10**5*x)**2"])
def test_what_does_not_exist_or_settle_is_admitted(text):
    with pytest.raises(ToleranceNotMet):
        expectation(parse(text))


# ------------------------------------------------------------------------------------------------ rules


@pytest.mark.parametrize("level", [0, 3])
def test_rules_have_total_weight_one_and_the_right_moments(level):
    for kinks in ((), (0.3,), (-1.0, 1.0, 50.0)):
        x, w = rule(kinks, level, 9.0)
        for power in (0, 2, 4, 8):
            assert w @ x**power == pytest.approx(gaussian(power), rel=1e-11)
        assert abs(w @ x**3) < 1e-13


def test_panels_are_exact_for_polynomials():
    x, w = panels([-1.0, 0.25, 2.0], order=8)
    for power in range(16):
        assert w @ x**power == pytest.approx((2.0 ** (power + 1) - (-1.0) ** (power + 1)) / (power + 1), rel=1e-13)


# ------------------------------------------------------------------------------------------------ two variables


@dataclass(frozen=True)
class Pair:
    """E f(u) g(v) in closed form, as a function of the correlation."""

    slug: str
    first: str
    second: str
    exact: object


def arc_cosine(r):
    return (mpmath.sqrt(1 - r * r) + r * (PI - mpmath.acos(r))) / (2 * PI)


PAIRS = [
    Pair("sign sign", "sign(x)", "sign(x)", lambda r: 2 / PI * mpmath.asin(r)),
    Pair("step step", "step(x)", "step(x)", lambda r: mpmath.mpf(1) / 4 + mpmath.asin(r) / (2 * PI)),
    Pair("relu relu", "relu(x)", "relu(x)", arc_cosine),
    Pair("abs abs", "abs(x)", "abs(x)", lambda r: 2 / PI * (mpmath.sqrt(1 - r * r) + r * mpmath.asin(r))),
    Pair("relu x", "relu(x)", "x", lambda r: r / 2),
    Pair("erf erf", "erf(x)", "erf(x)", lambda r: 2 / PI * mpmath.asin(2 * r / 3)),
    Pair("He3 He3", "He3(x)", "He3(x)", lambda r: 6 * r**3),
    Pair("He2 He3", "He2(x)", "He3(x)", lambda r: mpmath.mpf(0)),
    Pair("exp exp", "exp(x)", "exp(x)", lambda r: mpmath.exp(1 + r)),
    Pair("sin sin", "sin(3*x)", "sin(3*x)", lambda r: (mpmath.exp(-9 * (1 - r)) - mpmath.exp(-9 * (1 + r))) / 2),
    Pair("erf sign", "erf(x)", "sign(x)", lambda r: 2 / PI * mpmath.asin(r * mpmath.sqrt(mpmath.mpf(2) / 3))),
]
CORRELATIONS = ["0", "1/2", "-9/10", "99/100", "999999/1000000", "-999999999/1000000000", "1", "-1"]


@pytest.mark.parametrize("correlation", CORRELATIONS)
@pytest.mark.parametrize("pair", PAIRS, ids=[pair.slug for pair in PAIRS])
def test_pairs_are_honest_and_accurate(pair, correlation):
    rho = Fraction(correlation)
    # The pair is computed at the double next to the correlation; near 1 some of these are steep in it.
    double = Fraction(float(rho))
    found = pair_expectation(parse(pair.first), parse(pair.second), rho)
    with mpmath.workdps(40):
        exact = pair.exact(mpmath.mpf(double.numerator) / double.denominator)
        off = float(abs(found.value - exact))
    assert off <= found.error
    assert off <= 1e-12 * max(1.0, float(abs(exact)))


def test_pairs_in_digits():
    pair = PAIRS[1]
    found = pair_expectation(parse(pair.first), parse(pair.second), Fraction(1, 3), digits=4)
    with mpmath.workdps(30):
        off = abs(found.value - pair.exact(mpmath.mpf(1) / 3))
        assert off <= found.error


THREE = list(itertools.combinations(["tanh(x + 7/10)", "relu(x - 1/3)", "step(x)"], 2))


@pytest.mark.parametrize(("first", "second"), THREE)
def test_pairs_are_symmetric_and_sum_their_hermite_series(first, second):
    f, g = parse(first), parse(second)
    forward, backward = pair_expectation(f, g, 0.25), pair_expectation(g, f, 0.25)
    assert abs(forward.value - backward.value) <= forward.error + backward.error
    series = sum(
        hermite_coefficient(f, k).value * hermite_coefficient(g, k).value * 0.25**k / factorial(k) for k in range(24)
    )
    assert forward.value == pytest.approx(series, abs=1e-12)


def test_a_correlation_beyond_one_is_refused():
    with pytest.raises(BadInput, match="correlation"):
        pair_expectation(parse("x"), parse("x"), 1.1)


def test_parity_of_binomials_in_shifted_moments():
    shifted = exact_expectation(parse("(x + 1/2)**6"))
    assert shifted == sum(comb(6, k) * gaussian(k) * Fraction(1, 2) ** (6 - k) for k in range(7))
