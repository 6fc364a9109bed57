"""A trial against what it cannot do without: its matrix products, and the singular values asked for."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest
from numpy.random import SeedSequence, default_rng

from rmtfl.montecarlo.singular import top_singular
from rmtfl.montecarlo.threads import one_blas_thread
from rmtfl.montecarlo.weights import VALUES, train, trial
from rmtfl.setup import Setup

WIDTH = 2000
REPEATS = 3
ALLOWED = 1.5


def seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


@pytest.mark.parametrize(
    ("activation", "batches", "loss"),
    [
        ("tanh(x + 7/10)", "reused", "squared"),
        ("tanh(x + 7/10)", "independent", "squared"),
        ("relu(x)", "reused", "squared"),
        ("gelu(x)", "reused", "correlation"),
    ],
)
def test_a_trial_costs_its_products_and_its_singular_values(
    activation: str, batches: str, loss: str, record_property: Callable[[str, object], None]
) -> None:
    setup = Setup.model_validate(
        {
            "network": {"activation": activation},
            "data": {"target": "tanh(x)"},
            "sizes": {"width_ratio": 1, "sample_ratio": 1, "width": WIDTH},
            "training": {"batches": batches, "loss": loss, "alpha": ["3/10", "3/10"], "scale": [2, 6]},
        }
    )
    weights = train(setup, SeedSequence(1))
    inputs = default_rng(0).standard_normal((setup.sizes.samples, setup.sizes.dimension))
    square, update = np.empty((WIDTH, len(inputs))), np.empty(weights.shape)

    def products() -> None:
        for _ in range(setup.training.steps):
            np.matmul(weights, inputs.T, out=square)
            np.matmul(square, inputs, out=update)

    with one_blas_thread():
        rounds = [  # side by side, so that whatever else the machine does is felt alike
            (
                seconds(products),
                seconds(lambda: top_singular(weights, VALUES, default_rng(0))),
                seconds(lambda: trial(setup, SeedSequence(1))),
            )
            for _ in range(REPEATS)
        ]
    bare_products, singular_values, whole = (min(column) for column in zip(*rounds, strict=True))
    ratio = whole / (bare_products + singular_values)
    record_property("ratio", ratio)
    print(
        f"\n{activation}, {batches}, {loss}, N = d = n = {WIDTH}: products {bare_products:.2f} s, "
        f"{VALUES} singular values {singular_values:.2f} s, trial {whole:.2f} s, ratio {ratio:.2f}"
    )
    assert ratio <= ALLOWED
