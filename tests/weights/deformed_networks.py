"""Networks for the deformed bulk: settings by their step sizes, and trained draws with their second layer and batch."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from numpy.random import SeedSequence

from rmtfl.given import GivenBatches, GivenLayer
from rmtfl.montecarlo import weights
from rmtfl.montecarlo.devices import HOST
from rmtfl.montecarlo.weights import train
from rmtfl.setup import Setup
from rmtfl.weights import deformed, predict
from rmtfl.weights.deformed import branch, reused, spectrum, two_steps
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


def coarse(case):
    """The pencil of two steps on coarse nodes, which is what is held against networks: it takes a third of the time."""
    if case.training.batches == "reused":
        return reused.build(case, statistics(case), reused.COARSE)
    return two_steps.Independent(case, statistics(case), two_steps.COARSE)


def few_nodes(monkeypatch):
    """Fewer samples stand for a batch: for checks of what is done with two steps, not of its last digits."""
    monkeypatch.setattr(two_steps, "PAIRS", 400)
    for name, each in (("FINE", 4), ("OTHER", 3), ("COARSE", 2)):
        monkeypatch.setattr(reused, name, dataclasses.replace(getattr(reused, name), each=each, growth=0.2))


def followed(case, pencil):
    """The outliers beyond the bulk of a pencil, and the bulk's typical top."""
    found = branch.follow(pencil, 50.0)
    return found.outliers, spectrum.top(pencil, found.edge, case.sizes.dimension)


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
    network = given(case, seed)
    return network.network.second_layer.values, *network.data.batch.batch(0)


def given(case, seed):
    """The setting of one network: with the second layer and the batches, as numbers, that the seed would draw."""
    batches, inputs = [], np.empty((case.sizes.samples, case.sizes.dimension))
    for step in range(case.training.steps if case.training.batches == "independent" else 1):
        labels = weights._batch(case, step, inputs, seed, HOST)
        batches += [inputs.copy(), labels]
    layer = GivenLayer("a.npy", weights._second_layer(case, case.sizes.width, weights.stream(seed, 0)))
    return case.model_copy(
        update={
            "network": case.network.model_copy(update={"second_layer": layer}),
            "data": case.data.model_copy(update={"batch": GivenBatches("b.npz", *batches)}),
        }
    )


def quenched(case, seed):
    """The pencil of one network's own second layer and batches."""
    return next(deformed._pencils(given(case, seed)))
