"""Closed duals against the Hermite series, two-dimensional quadrature and 40-digit arithmetic."""

import mpmath
import numpy as np
import pytest

from rmtfl.gaussian import pair_expectation
from rmtfl.kernel.duals import CutPower, Pair, closed_dual
from rmtfl.kernel.series import HermiteDual
from rmtfl.links import parse

CLOSED = [
    "relu(x)",
    "2*relu(x)**2",
    "relu(x)**3",
    "leaky_relu(x, 1/5)",
    "abs(x)",
    "abs(x)**3",
    "sign(x)",
    "heaviside(x)",
    "erf(x)",
    "-3*erf(2*x)",
    "erf(-x/sqrt(2))",
    "sin(x)",
    "cos(2*x + 1)",
    "2*sin(1 - x)",
    "exp(x/2)",
    "exp(1 - x/3)",
    "exp(-x**2/2)",
    "3*exp(-2*x**2 - 1)",
    "x**3 - 3*x + 1",
    "He4(x)",
]
SMOOTH = [text for text in CLOSED if not parse(text).kinks]
Q, R = 1.3, 0.7
CORRELATIONS = np.array([-0.8, -0.3, 0.0, 0.4, 0.75])


def pairs(rho=CORRELATIONS, q=Q, r=R):
    return Pair.of(np.full(rho.shape, q), np.full(rho.shape, r), rho * np.sqrt(q * r))


@pytest.mark.parametrize("text", CLOSED)
def test_closed_dual_against_the_series_within_its_bound(text):
    link = parse(text)
    dual, series = closed_dual(link), HermiteDual(link)
    exact, found = dual.derivative(0, pairs()), series.derivative(0, pairs())
    assert np.all(np.abs(found - exact) <= series.bound(pairs()) + 1e-14 * np.abs(exact))
    assert np.all(series.bound(pairs()) <= 1e-12 * dual.variance(np.array(Q)))


@pytest.mark.parametrize("text", CLOSED)
def test_closed_dual_against_quadrature_in_two_dimensions(text):
    link = parse(text)
    for rho, found in zip(CORRELATIONS, closed_dual(link).derivative(0, pairs(q=1.0, r=1.0)), strict=True):
        exact = pair_expectation(link, link, rho, tolerance=1e-11)
        assert found == pytest.approx(exact.value, rel=1e-10, abs=exact.error + 1e-11)


@pytest.mark.parametrize("text", CLOSED)
def test_derivatives_in_the_covariance(text):
    link = parse(text)
    dual, series = closed_dual(link), HermiteDual(link)
    rho = np.array([-0.5, 0.1, 0.6])
    for order in range(1, 7):
        exact = series.derivative(order, pairs(rho))
        scale = np.max(np.abs(exact)) + float(dual.variance(np.array(Q)))
        np.testing.assert_allclose(dual.derivative(order, pairs(rho)), exact, rtol=1e-9, atol=1e-10 * scale)


@pytest.mark.parametrize("text", ["relu(x)", "relu(x)**2", "heaviside(x)"])
def test_nearly_parallel_pairs_keep_their_digits(text):
    # The third derivative grows like (1 − ρ²)^{3/2 − 3}: a determinant that cancels would have no digit left here.
    dual = closed_dual(parse(text))
    for gap in (1e-6, 1e-12):
        with mpmath.workdps(200):
            det = mpmath.mpf(gap)
            c = mpmath.sqrt(1 - det)

            def closed(x, power=dual.power):
                theta, root = mpmath.acos(x), mpmath.sqrt(1 - x * x)
                if power == 0:
                    return (mpmath.pi - theta) / (2 * mpmath.pi)
                if power == 1:
                    return (root + (mpmath.pi - theta) * x) / (2 * mpmath.pi)
                return (3 * root * x + (mpmath.pi - theta) * (1 + 2 * x * x)) / (2 * mpmath.pi)

            for order in (0, 1, 2, 3, 4):
                exact = mpmath.diff(closed, c, order, h=det * mpmath.mpf(10) ** -20) if order else closed(c)
                pair = Pair(np.ones(1), np.ones(1), np.array([float(c)]), np.array([gap]))
                assert dual.derivative(order, pair)[0] == pytest.approx(float(exact), rel=1e-11)


def test_variance_is_the_diagonal():
    q = np.array([0.0, 0.3, 2.0, 40.0])
    np.testing.assert_allclose(closed_dual(parse("relu(x)")).variance(q), q / 2, rtol=1e-15)
    np.testing.assert_allclose(closed_dual(parse("erf(x)")).variance(q), 2 / np.pi * np.arcsin(2 * q / (1 + 2 * q)))


@pytest.mark.parametrize(
    "text", ["relu(x - 1/2)", "clip(x, -1, 1)", "tanh(x)", "erf(x + 1)", "x*erf(x)", "relu(x) + 1"]
)
def test_links_without_a_closed_form_are_left_to_the_series(text):
    link = parse(text)
    assert closed_dual(link) is None
    series = HermiteDual(link)
    exact = pair_expectation(link, link, 0.5)
    pair = pairs(np.array([0.5]), 1.0, 1.0)
    assert series.derivative(0, pair)[0] == pytest.approx(exact.value, abs=exact.error + series.bound(pair)[0])


def test_the_bound_of_the_series_is_honest_where_it_is_large():
    link = parse("relu(x)")
    series, rho = HermiteDual(link, terms=12), np.array([0.5, 0.9, 0.99, 1.0])
    off = np.abs(series.derivative(0, pairs(rho)) - closed_dual(link).derivative(0, pairs(rho)))
    bound = series.bound(pairs(rho))
    assert np.all(off <= bound)
    assert np.all(off[1:] > 1e-3 * bound[1:])  # and not idle


def test_variance_of_a_steep_link():
    # E tanh(50 g)² = 1 − E sech²(50 g), and E sech² → φ(0) · 2/50 · (1 − π²/12/2500 …).
    found = HermiteDual(parse("tanh(x)")).variance(np.array([2500.0]))[0]
    with mpmath.workdps(20):
        exact = 2 * mpmath.quad(
            lambda g: mpmath.tanh(50 * g) ** 2 * mpmath.exp(-g * g / 2) / mpmath.sqrt(2 * mpmath.pi),
            [0, 0.02, 0.1, 0.5, 2, 9],
        )
    assert found == pytest.approx(float(exact), rel=1e-13)


def test_homogeneity():
    degrees = {"relu(x)": 1, "sign(x)": 0, "relu(x)**2": 2, "x**3": 3, "erf(x)": None, "x + 1": None, "cos(x)": None}
    for text, degree in degrees.items():
        assert closed_dual(parse(text)).homogeneity == degree


def test_point_mass_stands_for_a_gaussian_bump():
    assert closed_dual(parse("exp(-x**2)")) == CutPower(-1, pytest.approx(np.sqrt(np.pi)), 0.0, 0.5)
