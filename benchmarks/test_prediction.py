"""A prediction at one width against one trial of its simulation at N = 2000, in one run."""

from __future__ import annotations

import time
from typing import Any

import pytest
from numpy.random import SeedSequence

from rmtfl.montecarlo.threads import one_blas_thread
from rmtfl.montecarlo.weights import trial
from rmtfl.setup import Setup
from rmtfl.weights import predict

WIDTH = 2000
# Seconds a prediction may take in a warm process: smooth and kinked activations.
SMOOTH, KINKED = 0.1, 0.5


@pytest.mark.parametrize("noise", ["0", "3/10"])
@pytest.mark.parametrize("batches", ["reused", "independent"])
@pytest.mark.parametrize(
    ("activation", "allowed"),
    [("tanh(x + 7/10)", SMOOTH), ("softplus(x)", SMOOTH), ("relu(x)", KINKED), ("clip(x, -1, 1)", KINKED)],
)
def test_a_prediction_against_a_trial(
    benchmark: Any, activation: str, allowed: float, batches: str, noise: str
) -> None:
    setup = Setup.model_validate(
        {
            "network": {"activation": activation},
            "data": {"target": "tanh(x)", "noise": noise},
            "sizes": {"width_ratio": 1, "sample_ratio": 1, "width": WIDTH},
            "training": {"batches": batches, "alpha": ["3/10", "3/10"], "scale": [2, 6]},
        }
    )
    with one_blas_thread():
        start = time.perf_counter()
        trial(setup, SeedSequence(1))
        simulation = time.perf_counter() - start
        benchmark.pedantic(predict, args=(setup,), rounds=5, warmup_rounds=1)
    prediction = benchmark.stats.stats.min
    benchmark.extra_info.update(
        ratio_to_a_trial=prediction / simulation, seconds_allowed=allowed, within=prediction <= allowed
    )
    print(
        f"\n{activation}, {batches}, noise {noise}: prediction {1e3 * prediction:.0f} ms "
        f"(allowed {1e3 * allowed:.0f}), {prediction / simulation:.3f} of a trial"
    )
    if (activation, batches) == ("clip(x, -1, 1)", "reused"):
        pytest.xfail("two kinks that see each other on a reused batch need a hundred values of the second layer")
    # Other work on the machine must not fail this: what is asserted is the ratio measured side by side.
    assert prediction < simulation / 2
