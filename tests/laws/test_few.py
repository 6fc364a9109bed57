"""Edges on Python's own numbers against the same by arrays."""

import numpy as np
import pytest

from rmtfl.laws import edges, few
from rmtfl.laws.forward import ForwardMap
from tests.problems import FAMILIES


@pytest.mark.parametrize("name", ["generic", "spread", "light", "square", "touching"])
def test_integers_and_double_doubles_agree(name, monkeypatch):
    monkeypatch.setattr(few, "FEW_EDGES", 0)
    plain = 0
    for i in range(12):
        forward = ForwardMap(*FAMILIES[name](np.random.default_rng(np.random.SeedSequence([5, i]))))
        found = few.structure(forward)
        if found is None:
            continue
        plain += 1
        other = edges.by_arrays(forward)
        np.testing.assert_array_equal(found.gap, other.gap)
        assert np.abs((found.edges - other.edges).to_float() / other.edges.hi).max() < 1e-29
        np.testing.assert_allclose(found.least.hi, other.least.hi, rtol=1e-8)
        assert max(found.error.max(), other.error.max()) < 1e-18
        # The points are those at which the images were taken.
        slope, bound = forward.phi_minus_one(found.points)
        assert (np.abs((slope + found.images.slope).to_float()) <= bound + found.images.slope_error).all()
    assert name == "touching" or plain >= 9


def test_truncation_is_bounded():
    from fractions import Fraction

    forward = ForwardMap(0.3, [1e-3, 2.0, 1e3], [0.2, 0.3, 0.5])
    fixed = few.FixedPoint(forward)
    for place in (1e-3 * (1 + 1e-9), 0.7, 1999.5):
        u = fixed.of(place)
        z, rest, error, rest_error = fixed.evaluate(u)
        exact = Fraction(u, 1 << fixed.shift)
        pairs = list(zip(forward.exact_weights, forward.exact_gw, strict=True))
        true_z = exact + sum(g * Fraction(t) * exact / (exact - Fraction(t)) for t, g in pairs)
        true_rest = sum(g * (Fraction(t) / (exact - Fraction(t))) ** 2 for t, g in pairs) - 1
        assert abs(Fraction(z, 1 << fixed.shift) - true_z) <= Fraction(error)
        assert abs(Fraction(rest, 1 << fixed.shift) - true_rest) <= Fraction(rest_error)
        assert fixed.phi(u) - (1 << fixed.shift) == rest


def test_what_is_not_plain_is_left_to_arrays():
    assert few.structure(ForwardMap(1.0, [1, 2], [0.5, 0.5])) is None
    assert few.structure(ForwardMap(*FAMILIES["touching"](np.random.default_rng(1)))) is None
    assert few.edges(ForwardMap(1.0, [1, 2], [0.5, 0.5]), []) is None
