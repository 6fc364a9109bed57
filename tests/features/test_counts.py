"""How many feature spikes grow: exact at the boundaries, and with the constants of large widths."""

from fractions import Fraction

import numpy as np
import pytest

from rmtfl.features.counts import count
from rmtfl.features.prediction import predict
from tests.features.cases import row


@pytest.mark.parametrize(
    ("alpha", "spikes", "critical"),
    [
        ("0", 0, True),
        ("1/5", 1, False),
        ("1/4", 1, True),
        ("3/10", 2, False),
        ("1/3", 2, True),
        ("7/20", 3, False),
        ("3/8", 3, True),
        ("2/5", 4, True),
        ("399999/1000000", 4, False),
        ("400001/1000000", 5, False),
        ("49/100", 49, True),
    ],
)
def test_counts_are_exact(alpha, spikes, critical):
    found = count(Fraction(alpha))
    assert (found.spikes, found.critical) == (spikes, critical)
    # (ℓ − 1)/(2ℓ) < α < ℓ/(2ℓ + 2), and the upper boundary is critical.
    if not critical:
        assert Fraction(spikes - 1, 2 * spikes) < found.alpha < Fraction(spikes, 2 * spikes + 2)
    else:
        assert found.alpha == Fraction(spikes, 2 * spikes + 2)
        assert found.exponent(spikes + 1) == 0


def test_the_larger_exponent_decides_after_two_steps():
    assert count(Fraction(1, 5), Fraction(7, 20)).spikes == count(Fraction(7, 20), Fraction(0)).spikes == 3


@pytest.mark.parametrize(
    ("activation", "target", "second"),
    [
        ("tanh(x + 7/10)", "relu(x)", "gaussian"),
        ("relu(x)", "tanh(x)", "uniform"),
        # Without a mean spike, what a step does to a row's norm is seen in the second spike.
        ("x + (x**2 - 1)/2", "x", "gaussian"),
        ("x + (x**2 - 1)/2", "tanh(x) + 1/4", "uniform"),
    ],
)
def test_constants_are_those_of_a_large_width(activation, target, second):
    arguments = (activation, target, ("2/5",), (1,))
    spikes = predict(row("limit", *arguments, second_layer=second)).spikes
    assert spikes is not None
    listed = [spike for spike in spikes if spike.constant][:3]
    gaps = []
    for width in (10**8, 10**12):
        outliers = predict(row(width, *arguments, second_layer=second)).outliers
        expected = [spike.constant * width ** float(spike.exponent) for spike in listed]
        found = np.array([outlier.location for outlier in outliers[: len(listed)]])
        gaps.append(np.abs(found / expected - 1).max())
    assert gaps[1] < 0.02 and gaps[1] < gaps[0]


def test_two_support_points_leave_one_spike_of_each_parity():
    spikes = predict(row("limit", "tanh(x + 7/10)", alpha=("2/5",), second_layer="rademacher")).spikes
    assert spikes is not None
    assert [spike.vanishes is None for spike in spikes] == [True, True, False, False, False, False]
    assert "support points" in (spikes[2].vanishes or "")


def test_an_odd_activation_has_odd_spikes_alone():
    spikes = predict(row("limit", "tanh(x)", alpha=("2/5",))).spikes
    assert spikes is not None
    assert [spike.vanishes is None for spike in spikes] == [False, True, False, True, False, True]


def test_two_steps_of_equal_exponents_have_no_constant_of_their_own():
    spikes = predict(row("limit", alpha=("3/10", "3/10"), scale=(1, 1))).spikes
    assert spikes is not None
    assert spikes[0].constant is not None and spikes[1].constant is None
