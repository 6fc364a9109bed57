"""Ridge regression of the second layer on the features of drawn networks, after no step, one and two.

With W the trained first layer, X̃, ỹ a fresh sample and F = σ(X̃W^T)/√N the read-out minimises ‖ỹ − Fâ‖² + ridge ‖â‖².
The test error is an average over inputs that are stratified in the target coordinate, which leaves its mean and takes
most of its scatter away; of what is left, the mean of target² is exact: it is a number of the target alone, and rare
large labels dominate it. Checked against a direct solution in tests/regression.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.random import Generator, SeedSequence
from numpy.typing import NDArray
from scipy.linalg import solve
from scipy.special import ndtri

from rmtfl.montecarlo.kernel import second_moment
from rmtfl.montecarlo.threads import one_blas_thread
from rmtfl.montecarlo.weights import last_batch, stream, train
from rmtfl.setup import Setup, Training

Array = NDArray[np.float64]

TESTS = 4000  # test points of a network
STREAM = 64  # the first of this module's own streams, beyond those of the training


def trial(setup: Any, seed: SeedSequence) -> dict[str, Array]:
    """One network, and a regression on its features after every number of steps.

    Args:
        setup: a row of a feature-regression study.
        seed: of this trial; the untrained weights and the batches are the same after each number of steps.

    Returns:
        'mse', on fresh noisy labels, and 'training', each (steps + 1, ridges, ratios); 'excess', the mean of the
        squared labels less its expectation, of each regression and then of each batch, (ratios + batches,).
    """
    table, ridges = setup.regression, np.array([float(ridge) for ridge in setup.regression.ridge])
    shape = (setup.training.steps + 1, ridges.size, len(table.sample_ratio))
    mse, training = np.empty(shape), np.empty(shape)
    activation, dimension = setup.network.activation.numpy(), setup.sizes.dimension
    target, noise = setup.data.target.numpy(), float(setup.data.noise)
    power = float(second_moment(setup.data.target, np.ones(1))[0])
    with one_blas_thread():
        batches = 1 if setup.training.batches == "reused" else setup.training.steps
        squares = [np.mean(last_batch(_after(setup, batch + 1), seed)[1] ** 2) for batch in range(batches)]
        excess = np.concatenate([np.empty(shape[-1]), squares]) - power - noise**2
        tests = stratified(dimension, stream(seed, STREAM))
        clean = target(tests[:, 0].copy())
        for steps in range(setup.training.steps + 1):
            weights = train(_after(setup, steps), seed)
            seen = activation(tests @ weights.T)
            for index, ratio in enumerate(table.sample_ratio):
                rng = stream(seed, STREAM + 1 + index)
                inputs = rng.standard_normal((setup.samples(ratio), dimension))
                labels = target(inputs[:, 0].copy()) + noise * rng.standard_normal(len(inputs))
                excess[index] = np.mean(labels**2) - power - noise**2
                left, found = ridge_regression(activation(inputs @ weights.T), labels, ridges, seen)
                # The test labels' noise is independent: its mean square is added, not drawn.
                mse[steps, :, index] = np.mean(found * (found - 2 * clean), axis=1) + power + noise**2
                training[steps, :, index] = np.mean(left**2, axis=1)
    return {"mse": mse, "training": training, "excess": excess}


def ridge_regression(features: Array, labels: Array, ridges: Array, tests: Array) -> tuple[Array, Array]:
    """Residuals on the samples, (ridges, ñ), and predictions on test points, (ridges, points).

    Args:
        features: σ(X̃W^T), shape (ñ, N), not divided by √N.
        labels: ỹ.
        ridges: λ of ‖ỹ − σ(X̃W^T)â/√N‖² + λ‖â‖².
        tests: features of the test points, (points, N).
    """
    scaled = features / math.sqrt(features.shape[1])
    dual = scaled.shape[0] <= scaled.shape[1]
    gram, right = (scaled @ scaled.T, labels) if dual else (scaled.T @ scaled, labels @ scaled)
    read_outs = []
    for ridge in ridges:
        found = solve(gram + ridge * np.eye(len(gram)), right, assume_a="pos", check_finite=False)
        read_outs.append(found @ scaled if dual else found)
    read_out = np.array(read_outs)
    return labels - read_out @ scaled.T, read_out @ tests.T / math.sqrt(features.shape[1])


def memory(setup: Any) -> int:
    """The bytes that one trial needs at its peak."""
    width: int = setup.sizes.width
    dimension: int = setup.sizes.dimension
    samples: int = max(setup.samples(ratio) for ratio in setup.regression.sample_ratio)
    batch: int = setup.sizes.samples
    smaller = min(samples, width)
    regression = samples * (dimension + 2 * width) + 4 * smaller * smaller + TESTS * (dimension + 2 * width)
    return 8 * (width * dimension + max(regression, batch * (width + dimension)))


def _after(setup: Any, steps: int) -> Setup:
    """The weights after so many of the steps, none included, as a setting of their own."""
    table = setup.training
    cut = {"alpha": table.alpha[:steps], "scale": table.scale[:steps]}
    training = Training.model_construct(batches=table.batches, loss=table.loss, **cut)
    return Setup.model_construct(network=setup.network, data=setup.data, sizes=setup.sizes, training=training)


def stratified(dimension: int, rng: Generator) -> Array:
    """TESTS inputs, one in each of as many slices of equal mass of the target coordinate."""
    tests = rng.standard_normal((TESTS, dimension))
    tests[:, 0] = ndtri((np.arange(TESTS) + rng.random(TESTS)) / TESTS)
    return tests
