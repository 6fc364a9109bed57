"""Averages over a neuron: the closed form, the spline and the quadratures against one another."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from rmtfl.links import parse
from rmtfl.weights import conditional, piecewise_linear
from rmtfl.weights.smoothing import smooth
from rmtfl.weights.statistics import statistics
from tests.weights.setups import setup

SHIFT = np.array([-0.9, -0.1, 0.01, 0.5, 2.0])
DIRECTION = np.array([-2.0, 0.0, 1.3])
LABEL = np.array([-0.8, 0.0, 0.3, 1.1])


@pytest.mark.parametrize("text", ["relu(x)", "abs(x - 1/3)", "clip(x, -1, 1)", "tanh(x)", "relu(x)**2", "abs(tanh(x))"])
def test_smoothing_against_adaptive_quadrature(text):
    link = parse(text)
    for mean, spread in [(0.0, 1.0), (0.4, 0.3), (-1.2, 2.0), (1.0, 1e-3)]:
        value, slope = smooth(link, np.array([mean]), np.array([spread]), 3.0)
        cuts = [(k - mean) / spread for k in link.breakpoints if abs(k - mean) < 8 * spread]
        for found, function in ((value, link.numpy()), (slope, link.derivative().numpy())):
            expected, _ = quad(
                lambda t, f=function, m=mean, s=spread: f(np.array([m + s * t]))[0] * norm.pdf(t),
                -9,
                9,
                points=cuts or None,
                epsabs=1e-12,
                epsrel=1e-12,
                limit=300,
            )
            assert found[0] == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("text", ["relu(x)", "abs(x - 1/3)", "clip(x, -1, 1)", "leaky_relu(x, 1/10)"])
def test_the_closed_form_against_quadrature(text):
    problem = setup(text, "tanh(x) + 1/2")
    link, stats = problem.network.activation, statistics(problem)
    closed = conditional.reused(link, stats, SHIFT, DIRECTION, LABEL, 2, 1.0)
    plain = conditional.reused_kinked(link, stats, SHIFT, stats.tau * DIRECTION, LABEL, 4.0)
    for one, other in zip(closed, plain, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-9)


@pytest.mark.parametrize("text", ["Max(x, 0) + exp(Min(x, 0)) - 1", "relu(x)**2", "abs(tanh(x) - 1/2)"])
@pytest.mark.parametrize("width", [1e-3, 0.05, 0.5, 3.0])
def test_the_spline_against_what_it_tabulates(text, width):
    link, m = parse(text), np.linspace(-6, 7, 1501)
    found = conditional._tabulated(link, width, -6.0, 7.0, 2.0)(m)
    # Worst measured: 8e-10 in the slope of |tanh(x) - 1/2|, the widest of these.
    for one, other in zip(found, smooth(link, m, np.asarray(width), 4.0), strict=True):
        np.testing.assert_allclose(one, other, atol=3e-9)


@pytest.mark.parametrize("text", ["tanh(x + 7/10)", "softplus(x)"])
def test_a_smooth_neuron_against_a_plain_double_sum(text):
    problem = setup(text, "tanh(x) + 1/2")
    link, stats = problem.network.activation, statistics(problem)
    value, slope = conditional.reused(link, stats, SHIFT, DIRECTION, LABEL, 90, 3.0)
    t = np.linspace(-8, 8, 81)
    w = norm.pdf(t) * (t[1] - t[0])
    for i, s in enumerate(SHIFT):
        for j, g in enumerate(DIRECTION):
            for k, y in enumerate(LABEL):
                known = (1 + s * stats.c0 * stats.mu2) * t + s * stats.phi * y * link.derivative().numpy()(t)
                h = known[:, None] + s * (stats.mu1 * stats.tau * g + stats.specific * t)
                tolerance = 1e-8 if abs(s) <= 0.5 else 1e-4  # the poles of tanh come within 1/s of the real line
                assert value[i, j, k] == pytest.approx(w @ link.numpy()(h) @ w, abs=tolerance)
                assert slope[i, j, k] == pytest.approx(w @ link.derivative().numpy()(h) @ w, abs=tolerance)


@pytest.mark.parametrize("width", [0.0, 1e-12])
def test_panels_around_kinks_that_are_not_smoothed(width):
    x, weight = conditional.graded((-1.0,), width, 1.3, 0.9, 0.0)
    assert x.size < 1e6
    assert weight @ np.maximum(x + 1, 0) == pytest.approx(norm.cdf(1) + norm.pdf(1), abs=2e-6)


def test_a_neuron_without_noise_of_its_own():
    link = parse("relu(x + 1/2)")
    arguments = [np.array([value]) for value in (0.3, 0.7, 0.0, -0.2)]
    value, slope = piecewise_linear.conditional_means(link, *arguments)

    def moved(h):
        return 1.3 * h + 0.7 - 0.2 * (h > -0.5)

    def averaged(function):
        cuts = [-0.5, -1.2 / 1.3, -1.0 / 1.3]
        return quad(lambda h: function(moved(h)) * norm.pdf(h), -9, 9, points=cuts, epsabs=1e-12, limit=300)[0]

    assert value[0] == pytest.approx(averaged(lambda m: max(m + 0.5, 0.0)), abs=1e-9)
    assert slope[0] == pytest.approx(averaged(lambda m: float(m > -0.5)), abs=1e-9)


@pytest.mark.parametrize("text", ["2 + 0*x", "sign(x)**2 + 1"])
def test_a_constant_is_its_own_average(text):
    value, slope = smooth(parse(text), np.zeros((2, 3)), np.ones((2, 1)), 0.0)
    np.testing.assert_allclose(value, np.full((2, 3), 2.0), rtol=1e-13)
    np.testing.assert_array_equal(slope, np.zeros((2, 3)))
