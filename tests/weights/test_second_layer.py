"""Moments of the second layer, and its Gauss rules against them."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from scipy.special import gammaln

from rmtfl.weights import second_layer

LAWS = ["gaussian", "rademacher", "uniform"]


def test_moments_in_closed_form():
    assert [second_layer.moment("gaussian", p) for p in (0, 1, 2, 4, 6, 8)] == [1, 0, 1, 3, 15, 105]
    assert [second_layer.moment("rademacher", p) for p in (0, 1, 2, 4)] == [1, 0, 1, 1]
    assert [second_layer.moment("uniform", p) for p in (2, 3, 4)] == [1, 0, Fraction(9, 5)]


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("law", LAWS)
def test_rules_have_the_moments_of_the_law(law, cut):
    nodes, weights = second_layer.rule(law, 60, cut=cut)
    assert np.all(weights >= 0)
    for power in range(9):
        expected = float(second_layer.moment(law, power))
        assert abs(weights @ nodes**power - expected) <= 1e-9 * max(1.0, expected)


@pytest.mark.parametrize("law", ["gaussian", "uniform"])
@pytest.mark.parametrize("order", [5, 20, 40])
def test_half_range_rules_are_exact_for_polynomials_of_twice_their_order(law, order):
    nodes, weights = second_layer.rule(law, order, cut=True)
    positive = nodes > 0
    for power in range(0, min(2 * order, 60), 3):  # the weight beyond 13, which is cut, is felt from x^70 on
        if law == "uniform":
            expected = 3 ** (power / 2) / (2 * (power + 1))
        else:  # ∫_0^∞ x^p φ = 2^{p/2 - 1} Γ((p+1)/2)/√π
            expected = np.exp((power / 2 - 1) * np.log(2) + gammaln((power + 1) / 2)) / np.sqrt(np.pi)
        assert weights[positive] @ nodes[positive] ** power == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize("order", [3, 20, 64])
def test_hermite_rule(order):
    nodes, weights = second_layer.hermite_rule(order)
    reference, scale = np.polynomial.hermite_e.hermegauss(order)
    np.testing.assert_allclose(nodes, reference, atol=1e-13 * order)
    kept = scale > 1e-13 * scale.max()
    np.testing.assert_allclose(weights[kept], (scale / np.sqrt(2 * np.pi))[kept], rtol=1e-9)
    basis = second_layer.orthonormal_hermite(nodes, order)
    np.testing.assert_allclose((basis * weights) @ basis.T, np.eye(order), atol=1e-12 * order)


def test_only_signs_have_two_powers():
    assert [second_layer.distinct_powers(law) for law in LAWS] == [None, 2, None]
