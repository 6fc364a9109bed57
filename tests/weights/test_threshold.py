"""The count in exact arithmetic."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmtfl.errors import BadInput
from rmtfl.weights import threshold

HALF = Fraction(1, 2)
EXPONENTS = st.fractions(0, HALF, max_denominator=60).filter(lambda a: a < HALF)


def test_where_floats_are_wrong():
    found = threshold(Fraction(7, 20), Fraction(9, 20))
    assert (found.threshold, found.critical, found.generic_count) == (3, True, 4)
    assert int(0.45 / (0.5 - 0.35)) == 2  # what doubles make of it


@given(EXPONENTS, EXPONENTS)
def test_against_counting(first, second):
    """Term by term: the exponents that are not negative, and whether the last of them is zero."""
    exponents = [second - k * (HALF - first) for k in range(70)]
    alive = [e for e in exponents if e >= 0]
    found = threshold(first, second)
    assert found.threshold == len(alive) - 1
    assert found.critical == (alive[-1] == 0 and len(alive) > 1)
    assert [found.exponent(k) for k in range(1, len(alive))] == alive[1:]
    assert found.exponent(0) == max(first, second)


@given(EXPONENTS)
def test_one_step_leaves_one(first):
    found = threshold(first)
    assert (found.threshold, found.critical, found.generic_count) == (0, False, 1)
    assert found.exponent(0) == first


def test_more_steps_count_from_the_largest_exponent_before_them():
    found = threshold(Fraction(2, 5), Fraction(1, 10), Fraction(3, 10))
    assert (found.threshold, found.critical) == (3, True)
    assert found.threshold == threshold(Fraction(2, 5), Fraction(3, 10)).threshold
    document = found.as_json()
    assert [s["exponent"] for s in document["spikes"]] == ["2/5", "1/5", "1/10", "0"]
    assert document["spikes"][3]["needs"] == "mu_4 = E He_4 sigma"  # a reused batch has at most two steps


def test_what_each_spike_is():
    document = threshold(Fraction(3, 10), Fraction(2, 5)).as_json()
    assert {key: document[key] for key in ("threshold", "critical", "generic_count")} == {
        "threshold": 2,
        "critical": True,
        "generic_count": 3,
    }
    assert [(s["k"], s["exponent"], s["left"]) for s in document["spikes"]] == [
        (0, "2/5", 1),
        (1, "1/5", 2),
        (2, "0", 3),
    ]
    assert "mu_3" in document["spikes"][2]["needs"]


@pytest.mark.parametrize(
    "alpha",
    [
        (HALF,),
        (Fraction(0), Fraction(0), HALF),
        (Fraction(-1, 100), Fraction(0)),
        (Fraction(0), HALF),
        (Fraction(3), HALF),
    ],
)
def test_outside_the_domain(alpha):
    with pytest.raises(BadInput, match=r"alpha of step [123]: .* \[0, 1/2\)"):
        threshold(*alpha)


def test_too_many_to_list():
    assert threshold(HALF - Fraction(1, 10**4), Fraction(49, 100)).threshold == 4900
    with pytest.raises(BadInput, match="alpha of step 1"):
        threshold(HALF - Fraction(1, 10**9), Fraction(49, 100))


def test_a_ratio_next_to_a_whole_number_is_below_it():
    below = Fraction(3, 10) - Fraction(1, 10**20)
    assert threshold(Fraction(2, 5), Fraction(3, 10)).threshold == 3
    found = threshold(Fraction(2, 5), below)
    assert (found.threshold, found.critical) == (2, False)
