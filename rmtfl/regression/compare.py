"""Which predicted error of a regression on features is compared with which simulated one.

Judged: every test error. Shown: training errors. The allowance is what a network of N neurons adds to the limit: its
batch's overlap with the target fluctuates by O(N^{-1/2}), and the mean error over networks is off by O(1/N); measured
in validation/feature-regression. At an interpolation peak (ñ = N, ridge 1/1000) no more was seen from N = 250 on.
Where there are enough trials, how large their labels happened to be is taken out (`rmtfl.regression.controls`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmtfl.compare import Quantity
from rmtfl.regression.controls import controlled

Draws = Mapping[str, NDArray[np.float64]]

TEST_ERROR = 0.03  # relative, at N = 1000; it falls like 1/N
WIDTH = 1000


def quantities(setup: Any, prediction: Mapping[str, Any], trials: Draws) -> Iterator[Quantity]:
    """What is compared in a row.

    Args:
        setup: the row.
        prediction: its document.
        trials: 'mse' and 'training' (trials, steps + 1, ridges, ratios), 'excess' (trials, ratios + batches) of the
            labels of each regression and each batch, or empty.
    """
    shape = (0, setup.training.steps + 1, len(setup.regression.ridge), len(setup.regression.sample_ratio))
    mse, training = (np.asarray(trials.get(name, np.empty(shape))) for name in ("mse", "training"))
    ratios = len(setup.regression.sample_ratio)
    excess = np.asarray(trials.get("excess", np.zeros((len(mse), ratios))))
    ridges = [float(ridge) for ridge in setup.regression.ridge]
    relative = TEST_ERROR * max(1.0, WIDTH / int(setup.sizes.width))
    for curve in prediction["curves"]:
        place = (curve["steps"], ridges.index(curve["ridge"]))
        for index, ratio in enumerate(curve["sample_ratio"]):
            name = place_named(curve["steps"], curve["ridge"], ratio)
            seen = excess[:, [index, *range(ratios, min(ratios + curve["steps"], excess.shape[1]))]]
            yield Quantity(
                f"mse, {name}",
                curve["mse"][index],
                curve["error"][index],
                tuple(controlled(mse[:, *place, index], seen).tolist()),
                allowance=relative * curve["mse"][index],
                reason=f"{relative:.1%} of the error, at finite width",
                judged=True,
            )
            yield Quantity(
                f"training error, {name}",
                curve["training"][index],
                curve["training_error"][index],
                tuple(controlled(training[:, *place, index], seen).tolist()),
            )


def steps_named(count: int) -> str:
    """'no step', '1 step', '2 steps'."""
    return "no step" if count == 0 else "1 step" if count == 1 else f"{count} steps"


def place_named(steps: int, ridge: float, ratio: float) -> str:
    """A point of a curve, as in the names of quantities."""
    return f"{steps_named(steps)}, ridge {ridge:g}, {ratio:g} d samples"
