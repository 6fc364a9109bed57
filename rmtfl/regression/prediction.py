"""What a `feature-regression` study predicts: test and training error after no step, one and two, and its JSON.

Every number is computed at three resolutions; the last is the number, and its distance to the one before the error, or
a tenth of that to the first where it is larger; the worst point of all curves speaks for all. Of a long curve a few
points are asked, the one next to ñ = N among them. A study that this does not settle to its tolerance is refined.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmtfl.errors import ToleranceNotMet
from rmtfl.regression.compare import steps_named
from rmtfl.regression.equivalents import Regression
from rmtfl.regression.features import features
from rmtfl.regression.layer import layer, untrained
from rmtfl.regression.table import RegressionSetup

Array = NDArray[np.float64]

LEVELS = 6
AGREEMENT = 0.1  # of the distance to the level before last: two levels may agree by accident
ASKED = 8  # points of a curve at every resolution
ROUNDING = 1e-8  # relative: what the fixed point's tolerance leaves in an error


@dataclass(frozen=True)
class Resolution:
    """How finely one layer is resolved; the arguments of `layer` and `features`."""

    order: int
    layer: int
    samples: int
    features: float
    cutoff: float

    @classmethod
    def at(cls, level: int) -> Resolution:
        """From the coarsest, 0, on."""
        return cls(
            order=round(22 * 1.3**level),
            layer=level - 1,
            samples=4 + 2 * level,
            features=0.35 * level - 0.7,
            cutoff=10 ** (-2.5 - level / 2),
        )


@dataclass(frozen=True)
class Curve:
    """One ridge's errors after a number of steps, against the number of samples.

    Attributes:
        steps: gradient steps on the first layer before the regression: 0, 1, 2.
        ridge: λ.
        sample_ratio: ñ/d of the regression's fresh samples.
        mse: test error on fresh noisy labels.
        error: of mse, numerical, absolute.
        training: mean squared residual on the ñ samples.
        training_error: of training, alike.
    """

    steps: int
    ridge: float
    sample_ratio: tuple[float, ...]
    mse: tuple[float, ...]
    error: tuple[float, ...]
    training: tuple[float, ...]
    training_error: tuple[float, ...]


@dataclass(frozen=True)
class RegressionPrediction:
    """All curves of a row: steps from 0 to the last, for each the ridges as given.

    Attributes:
        curves: as said.
        noise_floor: the label noise squared, which no test error falls below.
        step_sizes: s_t = η_t/√N, one a step.
    """

    curves: tuple[Curve, ...]
    noise_floor: float
    step_sizes: tuple[float, ...]

    def as_json(self) -> dict[str, Any]:
        """The document of `predict --json` for this row."""
        return {
            "curves": [
                {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(curve).items()}
                for curve in self.curves
            ],
            "noise_floor": self.noise_floor,
            "step_sizes": list(self.step_sizes),
        }


def predict(setup: RegressionSetup) -> RegressionPrediction:
    """The curves of one row.

    Raises:
        ToleranceNotMet: if two resolutions still differ by more than the tolerance asked for at the finest, or a fixed
            point is not found.
    """
    width = int(setup.sizes.width)
    curves = [curve for steps in range(setup.training.steps + 1) for curve in _curves(setup, steps)]
    sizes = tuple(setup.training.step_size(t, width) for t in range(setup.training.steps))
    return RegressionPrediction(tuple(curves), float(setup.data.noise) ** 2, sizes)


def _curves(setup: RegressionSetup, steps: int) -> list[Curve]:
    numbers, errors = _settled(setup, steps)
    ratios = tuple(float(ratio) for ratio in setup.regression.sample_ratio)
    return [
        Curve(steps, float(ridge), ratios, *(tuple(column.tolist()) for column in (mse, off, training, training_off)))
        for ridge, (mse, training), (off, training_off) in zip(setup.regression.ridge, numbers, errors, strict=True)
    ]


def _settled(setup: RegressionSetup, steps: int) -> tuple[Array, Array]:
    """(mse, training) and their errors, each of shape (ridges, 2, ratios)."""
    samples = np.array([setup.samples(ratio) for ratio in setup.regression.sample_ratio])
    asked = _asked(samples, int(setup.sizes.width))
    older, previous = (at_resolution(setup, steps, Resolution.at(level), asked) for level in range(2))
    for level in range(2, LEVELS):
        regression = regression_at(setup, steps, Resolution.at(level))
        numbers = _curves_at(setup, regression, asked)
        changes = np.maximum(np.abs(numbers - previous), AGREEMENT * np.abs(numbers - older)) / numbers
        # Where one point of a curve agrees by accident, its neighbours tell.
        errors = changes.max(axis=(0, 2), keepdims=True) + ROUNDING
        # Of a training error, which may be tiny, what matters is its size beside the test error.
        if np.all(errors * numbers <= setup.theory.tolerance * numbers[:, :1]):
            ordered, places = np.unique(samples, return_inverse=True)
            if ordered.size > asked.size:
                numbers = _curves_at(setup, regression, ordered)
            return numbers[:, :, places], errors * numbers[:, :, places]
        older, previous = previous, numbers
    worst = float(np.max(errors * numbers / numbers[:, :1]))
    raise ToleranceNotMet(
        f"the errors after {steps_named(steps)} are known to {worst:.1e}, not to the tolerance "
        f"{setup.theory.tolerance:g}; ask for a larger theory.tolerance"
    )


def _asked(samples: Array, width: int) -> Array:
    """ASKED of the numbers of samples, ascending, and the one next to N."""
    ordered = np.unique(samples)
    places = {*np.linspace(0, ordered.size - 1, min(ASKED, ordered.size)).round().astype(int).tolist()}
    return np.asarray(ordered[sorted({*places, int(np.argmin(np.abs(ordered - width)))})])


def at_resolution(setup: RegressionSetup, steps: int, resolution: Resolution, samples: Array) -> Array:
    """(mse, training) after so many steps at one resolution, at ascending ñ: of shape (ridges, 2, ratios)."""
    return _curves_at(setup, regression_at(setup, steps, resolution), samples)


def regression_at(setup: RegressionSetup, steps: int, resolution: Resolution) -> Regression:
    """The regression after so many steps at one resolution."""
    network, data, sizes = setup.network, setup.data, setup.sizes
    grid = resolution.order, resolution.layer, resolution.samples
    trained = layer(setup.trained(steps), *grid) if steps else untrained()
    equivalent = features(network.activation, data.target, trained, resolution.features, resolution.cutoff)
    return Regression(equivalent, float(data.noise), int(sizes.width), float(sizes.psi))


def _curves_at(setup: RegressionSetup, regression: Regression, samples: Array) -> Array:
    return np.array([_curve(regression, samples, float(ridge)) for ridge in setup.regression.ridge])


def _curve(regression: Regression, samples: Array, ridge: float) -> Array:
    """(mse, training) at each number of samples, shape (2, samples), each found from the one before it."""
    found = np.empty((2, samples.size))
    at = None
    for index, count in enumerate(samples.tolist()):
        at = regression.resolvent(count, ridge, at)
        errors = regression.errors(count, at)
        found[:, index] = errors.mse, errors.training
    return found
