"""The rules against moments in closed form, from d = 3 to 10^6, and against SciPy's Gauss rules where these exist."""

import math

import numpy as np
import pytest
import scipy.special

from rmtfl.kernel.rules import cosines, gegenbauer_rule, line, radial_nodes, radius

DIMENSIONS = [3, 4, 7, 24, 25, 300, 10**4, 10**6]


@pytest.mark.parametrize("dimension", DIMENSIONS)
@pytest.mark.parametrize("width", [3.0, 0.5, 0.1])
def test_coordinate_moments(dimension, width):
    half = line(dimension, width)
    d = dimension
    assert half.weights.sum() == pytest.approx(0.5, rel=1e-14)
    assert 2 * half.weights @ half.z**2 == pytest.approx(1, rel=1e-12)
    assert 2 * half.weights @ half.z**4 == pytest.approx(3 * d / (d + 2), rel=1e-12)
    np.testing.assert_allclose(half.across**2 + half.z**2 / d, 1, rtol=1e-13)


@pytest.mark.parametrize("dimension", [2, *DIMENSIONS])
def test_cosine_moments(dimension):
    rule = cosines(dimension)
    fourth = 3 / (dimension * (dimension + 2))
    assert rule.weights @ rule.t**2 == pytest.approx(1 / dimension, rel=1e-12)
    assert rule.weights @ rule.t**4 == pytest.approx(fourth, rel=1e-12)
    assert rule.weights @ rule.complement == pytest.approx(1 - 1 / dimension, rel=1e-12)
    t, weights = gegenbauer_rule(dimension, 12)
    assert weights @ t**4 == pytest.approx(fourth, rel=1e-12)


@pytest.mark.parametrize("dimension", [2, *DIMENSIONS])
def test_radial_moments(dimension):
    rho, weights = radius(dimension, radial_nodes(dimension, 1.0))
    assert weights @ rho**2 == pytest.approx(1, rel=1e-13)
    assert weights @ rho**6 == pytest.approx((1 + 2 / dimension) * (1 + 4 / dimension), rel=1e-12)


def test_a_pole_and_an_endpoint_singularity():
    # A pole at ±0.1i in a coordinate, and (1 − t)^{3/2} at the end of a cosine, in dimensions where both are felt.
    d, N = 40, 5
    half = line(d, 0.1)
    nodes, weights = scipy.special.roots_jacobi(4000, (d - 3) / 2, (d - 3) / 2)
    exact = weights @ (1 / (0.01 + d * nodes**2)) / weights.sum()
    assert 2 * half.weights @ (1 / (0.01 + half.z**2)) == pytest.approx(exact, rel=1e-11)
    rule = cosines(N)
    # E (1 − t)^{3/2} = 2^{3/2} B(a + 3/2, a)/B(a, a), a = (N − 1)/2
    a = (N - 1) / 2
    exact = 2**1.5 * scipy.special.beta(a + 1.5, a) / scipy.special.beta(a, a)
    assert rule.weights @ rule.below**1.5 == pytest.approx(exact, rel=1e-13)


def test_gauss_gegenbauer_is_scipys():
    nodes, weights = scipy.special.roots_gegenbauer(20, 3.0)
    t, w = gegenbauer_rule(8, 20)
    np.testing.assert_allclose(t, nodes, atol=1e-14)
    np.testing.assert_allclose(w, weights / weights.sum(), rtol=1e-11)


def test_the_limit_is_gaussian():
    half = line(math.inf, 3.0)
    assert 2 * half.weights @ half.z**8 == pytest.approx(105, rel=1e-12)
    assert 2 * half.weights @ np.cos(half.z) == pytest.approx(math.exp(-0.5), rel=1e-14)
