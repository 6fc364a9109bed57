"""Double-double arithmetic against mpmath, on numbers that cancel."""

import mpmath
import numpy as np
import pytest

from rmtfl.laws.doubledouble import UNIT, DoubleDouble, concatenate


def exact(x):
    with mpmath.workdps(60):
        return [mpmath.mpf(float(h)) + mpmath.mpf(float(lo)) for h, lo in zip(x.hi, x.lo, strict=True)]


def random(seed, n=200):
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    hi = rng.standard_normal(n) * 10.0 ** rng.integers(-20, 20, n)
    return DoubleDouble(hi, hi * rng.uniform(-0.5, 0.5, n) * 2.0**-53) + 0.0


@pytest.mark.parametrize("op", ["add", "sub", "mul", "truediv"])
def test_operations_to_their_stated_unit(op):
    a, b = random(1), random(2)
    if op in ("add", "sub"):  # near-cancellation: b = ∓a (1 + 1e-10)
        b = concatenate([b[:100], (a * (1 + 1e-10))[100:] * (-1 if op == "add" else 1)])
    name = f"__{op}__"
    with mpmath.workdps(60):
        for got, x, y in zip(exact(getattr(a, name)(b)), exact(a), exact(b), strict=True):
            true = getattr(x, name)(y)
            assert abs(got - true) <= UNIT / 4 * abs(true)


@pytest.mark.parametrize("n", [1, 2, 7, 200])
def test_sum_to_its_stated_bound(n):
    a = random(3, n)
    with mpmath.workdps(80):
        terms = exact(a)
        error = abs(exact(a.sum()[None])[0] - mpmath.fsum(terms))
        assert error <= (3 * np.log2(n) + 3) * 2.0**-106 * mpmath.fsum(terms, absolute=True)


def test_mixed_with_floats():
    third = 1.0 / DoubleDouble([3.0])
    assert abs(exact(third * 3.0 - 1.0)[0]) < 1e-31
    assert abs(exact(1.0 - third - third - third)[0]) < 1e-31
