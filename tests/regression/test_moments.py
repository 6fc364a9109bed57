"""Moments of the activation by three roads."""

from __future__ import annotations

import numpy as np
import pytest

from rmtfl.links import parse
from rmtfl.regression.moments import moments

MEAN, SPREAD = np.array([[-1.3, 0.0, 0.4], [2.0, -0.2, 0.0]]), np.array([[0.7], [1.4]])


@pytest.mark.parametrize("text", ["relu(x)", "abs(x - 1/2) + x/3", "clip(x, -1, 1/2) + 2"])
def test_closed_forms_are_the_cut_quadrature(text: str) -> None:
    closed = moments(parse(text), MEAN, SPREAD, 1.0)
    # A cube too small to matter, and the activation is not piecewise linear.
    cut = moments(parse(f"{text} + x**3/10**12"), MEAN, SPREAD, 1.0)
    for name in ("value", "slope", "curvature", "square"):
        assert getattr(closed, name) == pytest.approx(getattr(cut, name), rel=1e-9, abs=1e-9)


def test_a_cubic_has_its_moments() -> None:
    found = moments(parse("x**3"), MEAN, SPREAD, 1.0)
    m, v = MEAN, SPREAD**2
    assert found.value == pytest.approx(m**3 + 3 * m * v)
    assert found.slope == pytest.approx(3 * (m**2 + v))
    assert found.curvature == pytest.approx(6 * m, abs=1e-12)
    assert found.square == pytest.approx(m**6 + 15 * m**4 * v + 45 * m**2 * v**2 + 15 * v**3)
