"""The trained layer against networks."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.random import SeedSequence

from rmtfl.montecarlo.weights import stream, train
from rmtfl.regression.layer import layer
from tests.regression.settings import setting

CASES = [
    ("tanh(x)", "tanh(x)", "independent"),
    ("tanh(x)", "tanh(x)", "reused"),
    ("softplus(x)", "tanh(x) + 1/2", "independent"),
    ("softplus(x)", "tanh(x) + 1/2", "reused"),
]


@pytest.mark.parametrize(("activation", "target", "batches"), CASES)
def test_rows_of_trained_networks(activation: str, target: str, batches: str) -> None:
    setup = setting(
        activation=activation,
        second_layer="rademacher",
        target=target,
        batches=batches,
        width=700,
        alpha=[0, 0],
        scale=[20, 30],
    ).trained(2)
    neurons = layer(setup, 2, 0).neurons
    for sign, mean, spread in zip(neurons.a, (neurons.mean**2).sum(axis=1), neurons.spread**2, strict=True):
        found = []
        for trial in SeedSequence(11).spawn(4):
            rows = train(setup, trial)[(2.0 * stream(trial, 0).integers(0, 2, 700) - 1) * sign > 0]
            total = (rows**2).sum(axis=1).mean()
            shared = ((rows.sum(axis=0) ** 2).sum() - (rows**2).sum()) / (len(rows) * (len(rows) - 1))
            found.append((shared, total - shared))
        standard_error = np.std(found, axis=0, ddof=1) / 2
        gap = np.abs(np.mean(found, axis=0) - [mean, spread])
        assert np.all(gap <= 4 * standard_error + 0.02 * np.array([mean, spread]))


def test_kinked_activations_have_the_same_spread_by_either_road() -> None:
    # A kink too weak to matter sends a smooth activation down the road of kinked ones.
    changed = {"target": "tanh(x)", "alpha": ["1/4"] * 2, "scale": [3, 4], "second_layer": "rademacher"}
    smooth = layer(setting(activation="tanh(x)", **changed).trained(2), 2, 0)
    kinked = layer(setting(activation="tanh(x) + abs(x)/10**9", **changed).trained(2), 6, 0)
    assert kinked.neurons.spread == pytest.approx(smooth.neurons.spread, rel=2e-3)


@pytest.mark.parametrize(("activation", "target"), [("tanh(x)", "sin(x)"), ("tanh(x + 7/10)", "tanh(x) + 1/2")])
def test_single_rows_differ_along_the_target_and_in_norm_together(activation: str, target: str) -> None:
    changed = {"batches": "independent", "batch_ratio": 10, "width": 500, "alpha": [0], "noise": 0}
    setup = setting(activation=activation, second_layer="rademacher", target=target, scale=[40], **changed).trained(1)
    found = layer(setup, 2, 0)
    covariances: dict[int, list[np.ndarray]] = {-1: [], 1: []}
    for trial in SeedSequence(12).spawn(4):
        signs = 2 * stream(trial, 0).integers(0, 2, 500) - 1
        weights = train(setup, trial)
        for sign, own in covariances.items():
            rows = weights[signs == sign]
            mean = rows.mean(axis=0)
            own.append(500 * np.cov(rows[:, 0], ((rows - mean) ** 2).sum(axis=1)))
    for i, sign in enumerate((-1, 1)):
        mean, error = np.mean(covariances[sign], axis=0), np.std(covariances[sign], axis=0, ddof=1) / 2
        predicted = found.fluctuation[i][np.ix_([0, -1], [0, -1])]
        assert np.all(np.abs(predicted - mean) <= 4 * error + 0.1 * np.diag(mean).max())
