"""What theory/gaussian_calculus.py derives, against the package's Gaussian calculus."""

from __future__ import annotations

import numpy as np
import pytest
import sympy as sp

from rmtfl import gaussian
from rmtfl.links import hermite_polynomial, parse
from rmtfl.pieces import X
from rmtfl.setup import Setup
from rmtfl.weights import piecewise_linear, smoothing
from rmtfl.weights.moments import Moments
from theory import gaussian_calculus as calculus
from theory.gaussian_calculus import h

KINKS = (sp.Rational(-1, 2), sp.Rational(2, 3))
PIECES = (h / 2, -h / 4 - sp.Rational(3, 8), 2 * h - sp.Rational(15, 8))  # continuous
LINK = parse("x/2 - 3/4*relu(x + 1/2) + 9/4*relu(x - 2/3)")


def test_hermite_polynomials_from_rodrigues_are_those_of_the_recurrence():
    for order in range(8):
        assert sp.expand(calculus.hermite(order).subs(h, X) - hermite_polynomial(order)) == 0


def test_hermite_polynomials_are_derivatives_integrated_by_parts():
    for order in range(6):
        assert calculus.by_parts(sp.Integer(1), order) == calculus.hermite(order)


@pytest.mark.parametrize("power", range(4))
def test_integration_by_parts_of_a_kinked_function(power):
    found = calculus.distributional_mean(PIECES, KINKS, h**power)
    by_parts = calculus.piecewise_mean([piece * calculus.by_parts(h**power) for piece in PIECES], KINKS)
    assert float(found) == pytest.approx(float(by_parts), abs=1e-12)


@pytest.mark.parametrize(("order", "self_power", "power"), [(2, 0, 0), (3, 0, 1), (2, 1, 0), (2, 1, 2), (1, 2, 1)])
def test_moments_of_a_kinked_activation(order, self_power, power):
    setup = Setup.model_validate(
        {
            "network": {"activation": LINK.text},
            "data": {"target": "x"},
            "sizes": {"width_ratio": 1, "sample_ratio": 1, "width": "limit"},
            "training": {"batches": "reused", "alpha": [0, 0], "scale": [1, 1]},
        }
    )
    slopes = [sp.diff(piece, h) for piece in PIECES]
    if order == 1:
        expected = calculus.piecewise_mean([slope ** (self_power + 1) * h**power for slope in slopes], KINKS)
    elif self_power:  # σ'' σ' is half the derivative of σ'²
        expected = calculus.distributional_mean([slope**2 for slope in slopes], KINKS, h**power) / 2
    else:
        expected = calculus.distributional_mean(slopes, KINKS, calculus.by_parts(h**power, order - 2))
    assert Moments(setup).activation(order, self_power, power) == pytest.approx(float(expected), abs=1e-12)


@pytest.mark.parametrize("correlation", [sp.Rational(-3, 5), sp.Rational(4, 5)])
def test_mehlers_formula(correlation):
    rng = np.random.default_rng(3)
    first, second = (sum(int(c) * h**k for k, c in enumerate(rng.integers(-3, 4, 4))) for _ in range(2))
    exact = calculus.pair_mean(first, second, correlation)
    assert sp.simplify(exact - calculus.mehler(first, second, correlation, 3)) == 0
    links = [parse(str(f.subs(h, X))) for f in (first, second)]
    assert gaussian.pair_expectation(*links, float(correlation)).value == pytest.approx(float(exact), rel=1e-11)


def test_smoothing_of_a_kink():
    value, slope = calculus.smoothed_hinge()
    symbols = (*sp.symbols("m k", real=True), sp.Symbol("tau", positive=True))
    rng = np.random.default_rng(5)
    mean, spread = rng.normal(size=4), rng.uniform(0.3, 2, 4)
    found = smoothing.smooth(parse("relu(x - 1/3)"), mean, spread, 1.0)
    for expression, numbers in zip((value, slope), found, strict=True):
        derived = sp.lambdify(symbols, expression, modules="mpmath")
        expected = [float(derived(m, 1 / 3, tau)) for m, tau in zip(mean, spread, strict=True)]
        np.testing.assert_allclose(numbers, expected, rtol=1e-12, atol=1e-15)


def test_the_primitive_of_a_crossing():
    primitive, integrand = calculus.crossing_antiderivative()
    symbols = sorted(primitive.free_symbols, key=str)
    slope, expected = (sp.lambdify(symbols, f, modules="mpmath") for f in (sp.diff(primitive, h), integrand))
    rng = np.random.default_rng(7)
    for at in rng.uniform(0.2, 2, (5, len(symbols))):
        assert slope(*at) == pytest.approx(float(expected(*at)), rel=1e-12)


def test_a_piecewise_linear_neuron_against_its_definition():
    rng = np.random.default_rng(11)
    stretch, shift, spread, own = rng.uniform(-0.4, 0.4, 4)
    spread = abs(spread)
    closed = piecewise_linear.conditional_means(LINK, *(np.array([v]) for v in (stretch, shift, spread, own)))
    x, weight = gaussian.rule(LINK.breakpoints, 3, 9.0)
    slope = LINK.derivative().numpy()(x)
    averaged = smoothing.smooth(LINK, (1 + stretch) * x + shift + own * slope, np.full(x.size, spread), 3.0)
    for number, function in zip(closed, averaged, strict=True):
        assert number[0] == pytest.approx(float(function @ weight), abs=1e-9)


def test_the_trapezoid_rule_has_the_error_of_poisson_summation():
    step = sp.Symbol("s", positive=True)
    error = sp.lambdify(step, calculus.trapezoid_error(step), modules="math")
    for width in (1.5, 2.0):
        x = np.arange(-20, 21) * width
        assert width * gaussian.density(x).sum() - 1 == pytest.approx(error(width), rel=1e-9)


def test_a_pole_at_distance_one_costs_exp_minus_two_pi_over_the_step():
    exact = gaussian.integrate(lambda x: 1 / (1 + x * x)).value
    errors = []
    for step in (0.6, 0.5, 0.4):
        x = np.arange(-40, 41) * step
        errors.append(abs(float(step * gaussian.density(x) @ (1 / (1 + x * x))) - exact))
    rates = np.diff(np.log(errors)) / np.diff([1 / 0.6, 1 / 0.5, 1 / 0.4])
    np.testing.assert_allclose(rates, -2 * np.pi, rtol=0.02)
