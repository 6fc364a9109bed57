"""Networks for the deformed bulk: settings by their step sizes, and trained draws with their second layer and batch."""

from __future__ import annotations

import math

import numpy as np
from numpy.random import SeedSequence

from rmtfl.montecarlo import weights
from rmtfl.montecarlo.devices import HOST
from rmtfl.montecarlo.weights import train
from rmtfl.setup import Setup
from rmtfl.weights import predict
from rmtfl.weights.deformed import nodes, one_step
from rmtfl.weights.statistics import statistics

TRIALS = 4


def setting(activation="tanh(x+7/10)", target="relu(x)", s=(1.0,), *, width=400, ratios=(1, 1), **changes):
    """A setting whose step sizes at this width are s."""
    alpha = changes.pop("alpha", ["1/4"] * len(s))
    scale = [round(step * width ** (0.5 - 0.25), 9) for step in s]
    return Setup.model_validate(
        {
            "network": {"activation": activation, "second_layer": changes.pop("second_layer", "gaussian")},
            "data": {"target": target, "noise": changes.pop("noise", 0)},
            "sizes": {"width_ratio": ratios[0], "sample_ratio": ratios[1], "width": width},
            "training": {"batches": changes.pop("batches", "independent"), "alpha": alpha, "scale": scale},
            "theory": {"bulk": "deformed", **changes},
        }
    )


def rigid(case):
    return predict(case.model_copy(update={"theory": case.theory.model_copy(update={"bulk": "rigid"})}))


class Draws:
    """Spectra of trained networks, what is measured of them, and their own second layers and first batches."""

    def __init__(self, case, trials=TRIALS, own=True):
        self.values, self.aligned, self.quenched = [], [], []
        for index in range(trials):
            seed = SeedSequence(11, spawn_key=(index,))
            _, values, vectors = np.linalg.svd(train(case, seed))
            self.values.append(values)
            self.aligned.append(vectors[: values.size, 0] ** 2)
            if own:
                self.quenched.append(quenched(case, seed))
        self.values, self.aligned = np.array(self.values), np.array(self.aligned)

    def assert_mean(self, numbers, predicted, allowance):
        error = numbers.std(ddof=1) / math.sqrt(numbers.size)
        assert abs(numbers.mean() - predicted) <= 4 * error + allowance

    def resolvent(self, z, outliers):
        """(1/d) tr Q without the outliers, trial by trial."""
        dimension = self.values.shape[1]
        return (1 / (self.values[:, outliers:] ** 2 - z)).sum(axis=1) / dimension


def own_draw(case, seed):
    """The second layer ā, and the first batch X, y, of one network."""
    inputs = np.empty((case.sizes.samples, case.sizes.dimension))
    y = weights._draw_batch(case, inputs, weights.stream(seed, 3), HOST)
    return weights._second_layer(case, case.sizes.width, weights.stream(seed, 0)), inputs, y


def quenched(case, seed):
    """The pencil of one network's own second layer and first batch, one node each, after one step."""
    width, samples, dimension = case.sizes.width, case.sizes.samples, case.sizes.dimension
    a, inputs, y = own_draw(case, seed)
    z = inputs[:, 0]
    found = nodes.Labels(y, np.full(samples, 1 / samples), z, z * z)
    second = (a, np.full(width, 1 / width))
    b = inputs.T @ y / samples
    direction = (float(b[0]), float(np.linalg.norm(b[1:])))
    step = case.training.step_size(0, width)
    return one_step.OneStep(statistics(case), dimension, step, second, found, direction)
