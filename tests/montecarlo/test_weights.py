"""The trial against a literal loop over neurons and samples, and the properties that comparisons rest on."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from numpy.random import SeedSequence, default_rng
from threadpoolctl import threadpool_limits

from rmtfl.errors import ToleranceNotMet
from rmtfl.montecarlo import weights
from rmtfl.montecarlo.weights import memory, train, trial
from rmtfl.setup import Setup

MakeSetup = Callable[..., Setup]


def literal_gradient_steps(setup: Setup, seed: SeedSequence) -> np.ndarray:
    """W of one or two gradient steps of L = (1/2n) Σ (y − f)², f = N^{-1/2} Σ a_i σ(<w_i, x>), one number at a time."""
    stream = [default_rng(SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, i))) for i in range(5)]
    N, d, n = setup.sizes.width, setup.sizes.dimension, setup.sizes.samples
    if setup.network.second_layer == "gaussian":
        unscaled = stream[0].standard_normal(N)
    elif setup.network.second_layer == "rademacher":
        unscaled = 2.0 * stream[0].integers(0, 2, N) - 1.0
    else:
        unscaled = math.sqrt(3) * (2.0 * stream[0].random(N) - 1.0)
    a = unscaled / math.sqrt(N)
    W = stream[1].standard_normal((N, d)) / math.sqrt(d)
    sigma, slope = setup.network.activation.numpy(), setup.network.activation.derivative().numpy()
    target = setup.data.target.numpy()
    for step in range(setup.training.steps):
        if step == 0 or setup.training.batches == "independent":
            X = stream[3 + step].standard_normal((n, d))
            y = [float(target(X[j, :1])[0]) for j in range(n)]
            if setup.data.noise:
                y = [
                    v + float(setup.data.noise) * e for v, e in zip(y, stream[3 + step].standard_normal(n), strict=True)
                ]
        eta = float(setup.training.scale[step]) * N ** float(setup.training.alpha[step])
        update = np.zeros((N, d))
        for j in range(n):
            h = np.array([sum(W[i, k] * X[j, k] for k in range(d)) for i in range(N)])
            f = sum(a[i] * sigma(h)[i] for i in range(N)) / math.sqrt(N)
            r = y[j] - f if setup.training.loss == "squared" else y[j]
            slopes = slope(h)
            for i in range(N):
                for k in range(d):
                    update[i, k] += eta / n * a[i] * r * slopes[i] * X[j, k]
        W = W + update
    return W


@pytest.mark.parametrize("batches", ["reused", "independent"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"loss": "correlation", "second_layer": "rademacher"},
        {"activation": "relu(x)", "second_layer": "uniform", "noise": "3/10", "width_ratio": "1/2", "sample_ratio": 2},
        {"target": "He3(x)", "width_ratio": 2, "sample_ratio": "1/2"},
        {"alpha": ("1/10",), "scale": (3,)},
    ],
    ids=["plain", "correlation", "relu", "rectangular", "one-step"],
)
def test_train_is_the_literal_gradient_descent(setup: MakeSetup, batches: str, options: dict) -> None:
    setting = setup(width=14, batches=batches, **options)
    expected = literal_gradient_steps(setting, SeedSequence(5))
    np.testing.assert_allclose(train(setting, SeedSequence(5)), expected, rtol=0, atol=1e-13 * np.abs(expected).max())


def test_rows_are_handled_alike_whatever_the_block(setup: MakeSetup, monkeypatch: pytest.MonkeyPatch) -> None:
    setting = setup(width=40)
    whole = train(setting, SeedSequence(1))
    monkeypatch.setattr(weights, "BLOCK", 7)
    np.testing.assert_allclose(train(setting, SeedSequence(1)), whole, rtol=0, atol=1e-13)


def test_trial_measures_the_trained_weights(setup: MakeSetup) -> None:
    setting = setup(width=220, width_ratio="11/10")
    result = trial(setting, SeedSequence(2), spectrum=True)
    _, values, vectors = np.linalg.svd(train(setting, SeedSequence(2)), full_matrices=False)
    np.testing.assert_allclose(result["singular_values"], values[:8], rtol=1e-12)
    np.testing.assert_allclose(result["alignments"], vectors[:8, 0] ** 2, atol=1e-8)
    np.testing.assert_allclose(result["spectrum"], values, atol=1e-12 * values[0])


def test_small_networks_give_as_many_values_as_they_have(setup: MakeSetup) -> None:
    result = trial(setup(width=5, width_ratio=2, sample_ratio=3), SeedSequence(0))
    assert result["singular_values"].shape == result["alignments"].shape == (2,)
    assert result["alignments"].sum() == pytest.approx(1)  # two orthonormal vectors span the plane


def test_trial_is_the_same_to_the_last_bit(setup: MakeSetup) -> None:
    setting = setup(width=300)
    seed = SeedSequence(7, spawn_key=(3,))
    first = trial(setting, seed)
    seed.spawn(2)  # what others draw below the same seed changes nothing
    with threadpool_limits(limits=2, user_api="blas"):
        second = trial(setting, seed)
    for name in first:
        assert first[name].tobytes() == second[name].tobytes()


def test_settings_that_differ_in_the_batches_share_the_first_step(setup: MakeSetup) -> None:
    one_step = {"alpha": ("3/10",), "scale": (2,)}
    reused, independent = (train(setup(batches=b, **one_step), SeedSequence(4)) for b in ("reused", "independent"))
    assert np.array_equal(reused, independent)
    reused, independent = (train(setup(batches=b), SeedSequence(4)) for b in ("reused", "independent"))
    assert np.linalg.norm(reused - independent, 2) > 0.1


@pytest.mark.parametrize(("law", "fourth"), [("gaussian", 3.0), ("rademacher", 1.0), ("uniform", 9 / 5)])
def test_second_layer_has_unit_variance(setup: MakeSetup, law: str, fourth: float) -> None:
    draws = weights._second_layer(setup(second_layer=law), 200_000, default_rng(8))
    for power, moment in [(1, 0.0), (2, 1.0), (4, fourth)]:
        sample = draws**power
        assert abs(sample.mean() - moment) <= 4 * sample.std() / math.sqrt(len(draws)) + 1e-15


def test_weights_beyond_doubles_are_reported(setup: MakeSetup) -> None:
    setting = setup(activation="x**9", scale=(10**9, 10**9))
    with pytest.raises(ToleranceNotMet, match=r"training\.scale"):
        trial(setting, SeedSequence(0))


@pytest.mark.parametrize("spectrum", [False, True])
def test_memory_bounds_what_a_trial_takes(setup: MakeSetup, spectrum: bool) -> None:
    setting = setup(width=1000, width_ratio=2, sample_ratio=2)
    trial(setup(width=20), SeedSequence(0))  # builds the links' functions
    tracemalloc.start()
    try:
        trial(setting, SeedSequence(0), spectrum=spectrum)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    stated = memory(setting, spectrum=spectrum)
    assert 0.5 * stated <= peak <= stated
