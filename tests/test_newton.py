"""Newton's method on single floats and in wide numbers: where it arrives, and what it says where it does not."""

import numpy as np
import pytest
from mpmath import mp

from rmtfl.newton import newton, refine


def test_single_floats_say_where_they_fail():
    step = lambda x: (x * x - 2) / (2 * x)  # noqa: E731
    assert newton(step, 1.0, inside=lambda x: x > 0, tolerance=1e-15) == pytest.approx(2**0.5, rel=1e-15)
    assert newton(step, -1.0, inside=lambda x: x > 0, tolerance=1e-15) is None
    assert newton(step, 0.0, inside=lambda x: True, tolerance=1e-15) is None
    # A step that never shrinks runs out of corrections.
    assert newton(lambda x: -1.0, 0.0, inside=lambda x: True, tolerance=1e-15) is None


def test_wide_numbers_are_refined_by_corrections_in_doubles():
    squares = np.array([2, 3])

    def correction(x):
        return ((x * x - squares) / (2 * x)).astype(float), np.abs(x.astype(float))

    with mp.workdps(60):
        found, last = refine(correction, np.array([mp.mpf("1.4"), mp.mpf("1.7")]), tolerance=1e-25)
        assert np.all(np.abs(found * found - squares) < 1e-40)
        assert np.all(last < 1e-25)
        once, last = refine(correction, np.array([mp.mpf(1), mp.mpf(2)]), tolerance=1e-25, max_steps=1)
    assert once.tolist() == [1.5, 1.75] and last.tolist() == [0.5, 0.125]
