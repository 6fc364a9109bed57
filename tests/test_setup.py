"""Inputs: exact numbers, sizes and step sizes."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from rmtfl.setup import Sizes, Training, exact, fraction_text


@pytest.mark.parametrize(
    ("given_as", "meant"),
    [
        ("3/10", Fraction(3, 10)),
        (" 3 / 10 ", Fraction(3, 10)),
        (0.4, Fraction(2, 5)),
        ("0.4", Fraction(2, 5)),
        ("7/20", Fraction(7, 20)),
        (1e-3, Fraction(1, 1000)),
        ("-1/10", Fraction(-1, 10)),
        (2, Fraction(2)),
        (".5", Fraction(1, 2)),
        ("2.", Fraction(2)),
    ],
)
def test_a_decimal_means_its_digits(given_as, meant):
    assert exact(given_as) == meant


@given(st.fractions(max_denominator=10**9).filter(lambda q: abs(q) < 10**9))
def test_text_and_back(value):
    assert exact(fraction_text(value)) == value


@given(st.integers(-10000, 10000))
def test_every_short_decimal_is_exact(thousandths):
    assert exact(thousandths / 1000) == Fraction(thousandths, 1000)


@pytest.mark.parametrize(
    "value",
    [True, None, [], "", "x", "1/0", "1//2", "1/2/3", "nan", "inf", math.nan, -math.inf, "1e999", "0x10", "1_0"],
)
def test_what_is_no_number_is_refused(value):
    with pytest.raises(ValueError, match=r"expected|denominator"):
        exact(value)


def test_integer_sizes_and_their_ratios():
    sizes = Sizes(width=100, width_ratio="3/2", sample_ratio="1/3")
    assert (sizes.dimension, sizes.samples) == (67, 22)
    assert (sizes.psi, sizes.phi) == (Fraction(100, 67), Fraction(67, 22))


def test_the_limit_has_the_ratios_of_the_file():
    sizes = Sizes(width="limit", width_ratio="3/2", sample_ratio="1/3")
    assert (sizes.psi, sizes.phi) == (Fraction(3, 2), Fraction(3))
    with pytest.raises(ValueError, match="no sizes"):
        _ = sizes.dimension


def test_step_sizes():
    training = Training(batches="reused", alpha=["3/10", "0"], scale=[2, "1/2"])
    assert training.step_size(0, 1000) == pytest.approx(2 * 1000**-0.2)
    assert training.step_size(1, 10**4) == pytest.approx(0.005)


def test_inputs_are_frozen():
    sizes = Sizes(width=100, width_ratio=1, sample_ratio=1)
    with pytest.raises(ValidationError, match="frozen"):
        sizes.width = 200
