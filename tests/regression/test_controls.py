"""Controls: means and standard errors of samples, given others whose means are known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.random import SeedSequence

from rmtfl.montecarlo.regression import trial
from rmtfl.montecarlo.weights import last_batch
from rmtfl.regression.controls import controlled
from tests.regression.settings import setting


def test_intervals_cover_the_mean_and_are_shorter() -> None:
    rng, found, plain = np.random.default_rng(1), [], []
    for _ in range(400):
        controls = rng.standard_normal((60, 2)) ** 3
        sample = 5 + controls @ [1.0, -0.3] + 0.2 * rng.standard_normal(60)
        for kept, values in ((found, controlled(sample, controls)), (plain, sample)):
            kept.append((values.mean() - 5, values.std(ddof=1) / np.sqrt(60)))
    gap, error = np.array(found).T
    assert np.mean(np.abs(gap) < 2 * error) == pytest.approx(0.95, abs=0.03)
    assert np.mean(error) < 0.15 * np.mean([error for _, error in plain])
    assert np.std(gap) == pytest.approx(np.mean(error), rel=0.15)


def test_few_trials_and_controls_that_do_not_vary_change_nothing() -> None:
    rng = np.random.default_rng(2)
    sample, controls = rng.standard_normal(19), rng.standard_normal((19, 1))
    assert np.array_equal(controlled(sample, controls), sample)
    many = rng.standard_normal(100)
    assert np.array_equal(controlled(many, np.zeros((100, 3))), many)


@pytest.mark.parametrize(("batches", "count"), [("reused", 1), ("independent", 2)])
def test_a_trial_says_how_large_its_labels_were(batches: str, count: int) -> None:
    setup = setting(width=40, target="x + He2(x)/2", batches=batches, alpha=["1/4"] * 2, scale=[1, 1])
    draws = [trial(setup, SeedSequence(5, spawn_key=(0, k)))["excess"] for k in range(60)]
    excess = np.array(draws)
    assert excess.shape == (60, 2 + count)
    assert np.all(np.abs(excess.mean(axis=0)) <= 4 * excess.std(axis=0, ddof=1) / np.sqrt(60))
    labels = last_batch(setup.trained(2), SeedSequence(5, spawn_key=(0, 0)))[1]
    assert draws[0][-1] == pytest.approx(np.mean(labels**2) - 1.5 - 0.09)
