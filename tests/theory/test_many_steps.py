"""What theory/many_steps.py derives, against its statements and the package."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import sympy as sp
from hypothesis import given
from hypothesis import strategies as st

from rmtfl.weights import threshold
from theory import many_steps
from theory.gaussian_calculus import h

HALF = Fraction(1, 2)
EXPONENTS = st.lists(st.fractions(0, HALF, max_denominator=40).filter(lambda a: a < HALF), min_size=2, max_size=5)
POWERS = 7


@pytest.mark.parametrize("seed", range(3))
def test_the_noise_of_a_row_after_a_step(seed):
    rng = np.random.default_rng(seed)
    activation = sum(sp.Rational(int(c), 3) * h**k for k, c in enumerate(rng.integers(-4, 5, 5)))
    assert sp.expand(many_steps.variance_after(activation) - many_steps.variance_formula(activation)) == 0


@given(EXPONENTS)
def test_costs_of_powers_are_the_exponents_of_spikes(alpha):
    """Products of series, step by step, against the closed form: the exponents, the count, the critical case."""
    exponents = [HALF - cost for cost in many_steps.costs(alpha, POWERS)]
    found = threshold(*alpha)
    assert exponents == [found.exponent(k) for k in range(POWERS)]
    alive = [e for e in exponents if e >= 0]
    assert len(alive) == min(found.generic_count, POWERS)
    if len(alive) < POWERS:
        assert found.critical == (alive[-1] == 0 and len(alive) > 1)
