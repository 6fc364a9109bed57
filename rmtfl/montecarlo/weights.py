"""Weights after exact gradient steps at finite width, and their leading singular values.

With x ~ N(0, I_d), y = target(<x, β>) + noise, f(x; W) = N^{-1} Σ ā_i σ(<w_i, x>) and W_0 of entries N(0, 1/d), a
step is

    W += s diag(ā) [σ'(W X^T)] diag(r / n) X,    s = scale · N^{alpha − 1/2},    r = y − f(X; W), or y.

The law of W_0 and x does not change under rotations of the input space, so that the target direction β is taken to be
the first basis vector. Checked against a loop over neurons and samples in tests/montecarlo.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.random import Generator, SeedSequence
from numpy.typing import NDArray

from rmtfl.errors import ToleranceNotMet
from rmtfl.given import GivenLayer
from rmtfl.links import Link
from rmtfl.montecarlo.devices import HOST, Device, in_memory, open_device
from rmtfl.montecarlo.singular import all_singular, top_singular
from rmtfl.montecarlo.threads import one_blas_thread
from rmtfl.setup import Setup

Array = NDArray[np.float64]

VALUES = 8  # leading singular values kept: more than any threshold count in reach leaves the bulk
BLOCK = 256  # neurons handled at once: their preactivations stay in cache, and the products stay efficient


def trial(setup: Setup, seed: SeedSequence, *, spectrum: bool = False, device: str = "cpu") -> dict[str, Array]:
    """Train one network and measure its first layer.

    The second layer, the weights, the batches and the starting vector of the iteration have streams of their own below
    `seed`: settings that differ only in how the batches are used share a, W_0 and the first batch.

    Args:
        setup: the setting; its width is a number.
        seed: of this trial; the same seed gives the same bits, in any process.
        spectrum: whether all singular values are wanted too.
        device: the name of the one that trains and decomposes, for `rmtfl.montecarlo.devices.open_device`.

    Returns:
        singular_values: the k = min(8, N, d) largest singular values of the final W, descending.
        alignments: (k,) squared overlaps of their right singular vectors with the target direction.
        spectrum: all min(N, d) singular values, descending, if asked for.

    Raises:
        ToleranceNotMet: if the weights leave the range of doubles.
    """
    place = open_device(device)
    with one_blas_thread():
        weights = train(setup, seed, place)
        values, vectors = top_singular(weights, min(VALUES, *weights.shape), stream(seed, 2), place)
        result = {"singular_values": values, "alignments": np.square(vectors[:, 0])}
        if spectrum:
            result["spectrum"] = all_singular(weights, place)
    return result


def train(setup: Setup, seed: SeedSequence, device: Device = HOST) -> Any:
    """The (N, d) first layer after the setting's last step, as an array of the device; see `trial`."""
    width, dimension = int(setup.sizes.width), setup.sizes.dimension
    second_layer = device.array(_second_layer(setup, width, stream(seed, 0)))
    weights = device.empty(width, dimension)
    device.fill_normal(weights, stream(seed, 1))
    weights *= 1 / math.sqrt(dimension)
    inputs = device.empty(setup.sizes.samples, dimension)
    derivatives = device.empty(width, setup.sizes.samples)
    for step in range(setup.training.steps):
        if step == 0 or setup.training.batches == "independent":
            labels = _batch(setup, step, inputs, seed, device)
        with np.errstate(over="ignore", invalid="ignore"):
            _gradient_step(setup, step, weights, second_layer, inputs, labels, derivatives, device.xp)
            finite = math.isfinite(sum(float(device.xp.sum(weights[rows, :] ** 2)) for rows in _blocks(width)))
        if not finite:
            raise ToleranceNotMet(
                f"the simulated weights leave the range of doubles in step {step + 1} at width {width}; "
                "a smaller training.scale keeps them in"
            )
    return weights


def last_batch(setup: Setup, seed: SeedSequence) -> tuple[Array, Array]:
    """The inputs (n, d) and labels (n,) that the last step of `train` used."""
    inputs = np.empty((setup.sizes.samples, setup.sizes.dimension))
    step = setup.training.steps - 1 if setup.training.batches == "independent" else 0
    return inputs, in_memory(_batch(setup, step, inputs, seed, HOST))


def memory(setup: Setup, *, spectrum: bool = False) -> int:
    """The bytes that one trial needs at its peak, but for the Python process itself."""
    width, dimension, samples = int(setup.sizes.width), setup.sizes.dimension, setup.sizes.samples
    training = width * dimension + samples * dimension + width * samples + 4 * BLOCK * (samples + dimension)
    basis = 1000 * dimension  # of the iteration, while it grows
    return 8 * max(training, width * dimension + basis + (64 * min(width, dimension) if spectrum else 0))


def stream(seed: SeedSequence, index: int) -> Generator:
    """One of a trial's independent streams of randomness."""
    # Not seed.spawn, which counts its calls: a trial must not depend on what was drawn from the same seed before.
    return np.random.default_rng(SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, index)))


def _second_layer(setup: Setup, width: int, rng: Generator) -> Array:
    match setup.network.second_layer:
        case "gaussian":
            return rng.standard_normal(width)
        case "rademacher":
            return 2 * rng.integers(0, 2, width).astype(np.float64) - 1
        case "uniform":
            return math.sqrt(3) * (2.0 * rng.random(width) - 1.0)
        case GivenLayer(values=values):
            return values
    raise AssertionError(f"no second layer of law {setup.network.second_layer}")


def _batch(setup: Setup, step: int, inputs: Any, seed: SeedSequence, device: Device) -> Any:
    """The labels of a step's batch, drawn or given; its inputs are written into an array of the device."""
    if setup.data.batch is not None:
        known, labels = setup.data.batch.batch(step)
        inputs[:, :] = device.array(known)
        return device.array(labels)
    rng = stream(seed, 3 + step)
    device.fill_normal(inputs, rng)
    target: Link = setup.data.target
    labels = target.numpy()(in_memory(inputs[:, 0]).copy())
    if setup.data.noise:
        labels = labels + float(setup.data.noise) * rng.standard_normal(len(labels))
    return device.array(labels)


def _gradient_step(
    setup: Setup, step: int, weights: Any, second_layer: Any, inputs: Any, labels: Any, derivatives: Any, xp: Any
) -> None:
    """One step on `weights` in place; `derivatives` is working space."""
    width, samples = derivatives.shape
    activation: Link = setup.network.activation
    value, slope = activation.over(xp), activation.derivative().over(xp)
    residual = labels
    for rows in _blocks(width):
        preactivations = weights[rows, :] @ inputs.T
        derivatives[rows, :] = slope(preactivations)
        if setup.training.loss == "squared":
            residual = residual - (second_layer[rows] @ value(preactivations)) / width
    rate = setup.training.step_size(step, width) / samples
    for rows in _blocks(width):
        derivatives[rows, :] *= residual
        derivatives[rows, :] *= (rate * second_layer[rows])[:, None]
        weights[rows, :] += derivatives[rows, :] @ inputs


def _blocks(width: int) -> Iterator[slice]:
    for start in range(0, width, BLOCK):
        yield slice(start, min(start + BLOCK, width))
