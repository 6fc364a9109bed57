"""The simulation against a direct solution, and the prediction against the simulation."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.random import SeedSequence

from rmtfl.montecarlo.regression import ridge_regression, stratified, trial
from rmtfl.regression.prediction import predict
from tests.regression.settings import setting

NETWORKS = 12


@pytest.mark.parametrize("samples", [7, 20])
def test_ridge_regression_minimises_its_objective(samples: int) -> None:
    rng = np.random.default_rng(1)
    features, labels, tests = (
        rng.standard_normal((samples, 12)),
        rng.standard_normal(samples),
        rng.standard_normal((5, 12)),
    )
    residuals, found = ridge_regression(features, labels, np.array([0.01, 3.0]), tests)
    for ridge, residual, predicted in zip((0.01, 3.0), residuals, found, strict=True):
        stacked = np.vstack([features / np.sqrt(12), np.sqrt(ridge) * np.eye(12)])
        read_out = np.linalg.lstsq(stacked, np.concatenate([labels, np.zeros(12)]))[0]
        assert residual == pytest.approx(labels - features @ read_out / np.sqrt(12))
        assert predicted == pytest.approx(tests @ read_out / np.sqrt(12))


def test_stratified_inputs_keep_moments() -> None:
    inputs = stratified(3, np.random.default_rng(0))
    assert np.mean(inputs[:, 0] ** 2) == pytest.approx(1, abs=2e-3)
    assert np.mean(inputs[:, 0] ** 4) == pytest.approx(3, abs=3e-2)


def test_a_trial_is_its_seed_and_later_steps_do_not_change_earlier_ones() -> None:
    one = setting(width=60, sample_ratio=[1])
    two = setting(width=60, sample_ratio=[1], alpha=["1/4"] * 2, scale=[3, 3])
    seed = SeedSequence(5, spawn_key=(0, 0))
    first, second = trial(one, seed), trial(two, SeedSequence(5, spawn_key=(0, 0)))
    for name in ("mse", "training"):
        assert np.array_equal(first[name], second[name][:2])


def test_a_large_step_on_one_second_layer_weight() -> None:
    # What neurons of one norm would predict is 6 to 7 % more at three samples per dimension.
    changed = {"target": "sin(x)", "noise": 0, "batch_ratio": 20, "batches": "independent", "alpha": [0], "scale": [52]}
    setup = setting(second_layer="rademacher", width=300, sample_ratio=[3], **changed)
    mse = np.array([trial(setup, SeedSequence(18, spawn_key=(0, k)))["mse"][1, 0, 0] for k in range(NETWORKS)])
    predicted = predict(setup).curves[1].mse[0]
    assert abs(predicted - mse.mean()) <= 3 * mse.std(ddof=1) / np.sqrt(NETWORKS) + 0.01 * predicted


@pytest.mark.parametrize("batches", ["independent", "reused"])
@pytest.mark.parametrize(
    ("activation", "target"), [("tanh(x)", "x"), ("tanh(x + 7/10)", "x + He2(x)/2"), ("relu(x)", "He3(x)")]
)
def test_networks(activation: str, target: str, batches: str) -> None:
    changed = {"alpha": ["1/4"] * 2, "scale": [2, 2]} if activation != "relu(x)" else {"scale": [1]}
    setup = setting(activation=activation, target=target, batches=batches, width=240, ridge=["1/10", 1], **changed)
    drawn = [trial(setup, SeedSequence(17, spawn_key=(0, k))) for k in range(NETWORKS)]
    mse = np.array([draw["mse"] for draw in drawn])
    mean, error = mse.mean(axis=0), mse.std(axis=0, ddof=1) / np.sqrt(NETWORKS)
    predicted = np.array([curve.mse for curve in predict(setup).curves]).reshape(mean.shape)
    # Four standard errors, and what 240 neurons add to the limit.
    assert np.all(np.abs(predicted - mean) <= 4 * error + 0.04 * mean)
    assert np.median(np.abs(predicted / mean - 1)) < 0.04
