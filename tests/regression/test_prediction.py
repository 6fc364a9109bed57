"""Predictions: what they hold, how honest their errors are, what is refused."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

from rmtfl.errors import BadInput, ToleranceNotMet
from rmtfl.regression.prediction import Resolution, at_resolution, predict
from rmtfl.study import from_document
from tests.regression.settings import setting

TWO = {"alpha": ["1/4", "1/4"], "scale": [3, 4]}


@pytest.mark.parametrize("target", ["x + He2(x)/2", "abs(x)"])
@pytest.mark.parametrize("batches", ["independent", "reused"])
def test_errors_bound_the_distance_to_a_much_finer_computation(target: str, batches: str) -> None:
    setup = setting(activation="tanh(x + 7/10)", target=target, batches=batches, ridge=["1/1000", 1], **TWO)
    found = predict(setup)
    for steps in range(3):
        fine = at_resolution(setup, steps, Resolution.at(4), np.array([200, 800]))
        for curve, (mse, training) in zip([c for c in found.curves if c.steps == steps], fine, strict=True):
            assert np.all(np.abs(np.array(curve.mse) - mse) <= curve.error)
            assert np.all(np.abs(np.array(curve.training) - training) <= curve.training_error)
            assert np.all(np.array(curve.error) <= 1e-3 * np.array(curve.mse))


def test_curves_are_listed_by_steps_and_ridges_and_the_first_ones_do_not_see_later_steps() -> None:
    two, one = predict(setting(ridge=[1, "1/10"], **TWO)), predict(setting(ridge=[1, "1/10"]))
    assert [(curve.steps, curve.ridge) for curve in two.curves] == [(t, r) for t in range(3) for r in (1.0, 0.1)]
    assert two.curves[:4] == one.curves
    document = two.as_json()
    assert document["noise_floor"] == pytest.approx(0.09)
    assert document["step_sizes"] == pytest.approx([3 / 400**0.25, 4 / 400**0.25])
    assert document["curves"][5]["sample_ratio"] == [0.5, 2.0]


def test_the_order_of_the_ratios_does_not_matter() -> None:
    there, back = predict(setting(sample_ratio=[0.3, 1, 4])), predict(setting(sample_ratio=[4, 1, 0.3]))
    for curve, mirrored in zip(there.curves, back.curves, strict=True):
        assert curve.mse == pytest.approx(mirrored.mse[::-1], rel=1e-6)


def test_a_target_beyond_the_linear_part_is_noise_to_untrained_features() -> None:
    mixed = predict(setting(target="x + He3(x)/sqrt(6)", noise=0)).curves[0]
    noisy = predict(setting(target="x", noise=1)).curves[0]
    assert mixed.mse == pytest.approx(noisy.mse, rel=1e-3)


def test_independent_batches_do_not_learn_a_direction_of_exponent_three() -> None:
    curves = {
        b: predict(setting(target="He3(x)", batches=b, batch_ratio=4, **TWO)).curves for b in ("reused", "independent")
    }
    assert curves["reused"][2].mse[1] < curves["independent"][2].mse[1]


def test_fifty_points_take_less_than_a_second() -> None:
    setup = setting(width=1000, sample_ratio=[0.1 * k for k in range(1, 51)])
    predict(setup)
    start = time.process_time()
    predict(setup)
    assert time.process_time() - start < 1


def test_points_of_a_long_curve_have_the_errors_of_those_asked_for() -> None:
    setup = setting(target="x + He2(x)/2", sample_ratio=[0.2 * k for k in range(1, 21)] + [1])
    fine = at_resolution(setup, 1, Resolution.at(4), np.arange(80, 1601, 80))[0]
    found = predict(setup).curves[1]
    for numbers, errors, exact in ((found.mse, found.error, fine[0]), (found.training, found.training_error, fine[1])):
        assert np.all(np.abs(np.array(numbers)[:-1] - exact) <= errors[:-1])
        assert numbers[-1] == numbers[4]


@pytest.mark.parametrize("target", ["x", "He3(x)"])
def test_steps_beyond_reach_are_refused_by_their_key(target: str) -> None:
    with pytest.raises(ToleranceNotMet, match=r"rows of norm 1 as long as .*training\.scale"):
        predict(setting(target=target, scale=[1000]))


def test_a_tolerance_out_of_reach_is_refused() -> None:
    with pytest.raises(ToleranceNotMet, match=r"theory\.tolerance"):
        predict(setting(target="abs(x)", tolerance=1e-10, **TWO))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"ridge": 0}, r"regression\.ridge.*value 0.*\[1e-8, 1e12\]"),
        ({"ridge": [1, -1]}, r"regression\.ridge\.1.*value -1"),
        ({"ridge": []}, r"regression\.ridge.*at least 1"),
        ({"sample_ratio": [0.5, 0]}, r"regression\.sample_ratio\.1.*value 0"),
        ({"sample_ratio": -1}, r"regression\.sample_ratio"),
        ({"sample_ratio": ["1/10000"]}, r"sample_ratio 1/10000 is 0 samples at dimension 400"),
        ({"width": "limit"}, r"sizes.*at a width"),
        ({"batches": "independent", "alpha": [0] * 3, "scale": [1] * 3}, r"training.*has 3 steps"),
        ({"activation": "exp(x**2/3)"}, r"network\.activation"),
    ],
)
def test_bad_input_is_named(changed: dict[str, Any], message: str) -> None:
    good = setting().model_dump(mode="json")
    for key, value in changed.items():
        table = next(name for name, values in reversed(good.items()) if key in values)
        good[table][key] = value
    with pytest.raises(BadInput, match=message):
        from_document({"schema": 1, "observable": "feature-regression", **good})
