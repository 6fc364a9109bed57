"""What is predicted of the conjugate kernel, and its JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmtfl.errors import ToleranceNotMet
from rmtfl.features import hermite, spikes
from rmtfl.features.counts import LeadingSpike, count, leading
from rmtfl.features.law import intervals
from rmtfl.features.neurons import COARSE, FINE, Accuracy, trained
from rmtfl.features.operator import feature_operator
from rmtfl.features.spikes import Spike, Spiked
from rmtfl.features.table import FeaturesSetup
from rmtfl.features.training_batch import training_batch
from rmtfl.gaussian import check_square_integrable, expectation
from rmtfl.links import Link
from rmtfl.setup import Setup
from rmtfl.weights.statistics import Statistics, statistics

Array = NDArray[np.float64]

TOLERANCE = 1e-2  # of the numerical error where the study asks for none
MERGING = 2e-6  # relative: what merging second-layer nodes changes, as in rmtfl.weights.deformed
SAFETY = 2.0  # times the change from coarse to fine: they may agree by accident
TARGET_TERMS = 100  # of a target's Hermite series
MEAN = 0.5  # share of the constant from which an outlier of an uncentred σ is called the mean spike
ZERO = 1e-12  # a mean of σ, or another Hermite coefficient, of less is none
EDGE = 1e-9  # relative error of the bulk's ends


@dataclass(frozen=True)
class FeatureOutlier:
    """An eigenvalue outside the bulk.

    Attributes:
        name: 'mean', or 'feature 1', 'feature 2', … by size.
        location: the eigenvalue.
        alignment: |ỹ^T û|²/ñ with fresh labels.
        cosine: the same over the labels' second moment: the squared cosine.
        constant: |1^T û|²/ñ, the squared cosine with a constant.
        error: of the location, absolute.
        alignment_error: of the other three.
    """

    name: str
    location: float
    alignment: float
    cosine: float
    constant: float
    error: float
    alignment_error: float


@dataclass(frozen=True)
class FeaturesPrediction:
    """The conjugate kernel's spectrum.

    Attributes:
        threshold: ℓ, the feature spikes that grow with N, exact.
        critical: whether one more is exactly of order one.
        intervals: of the bulk.
        outliers: descending.
        spikes: in the limit, what grows with N and how.
        training_batch: the outliers on the training batch instead, after one step at a width; alignments are with
            its labels.
        labels: E y².
        error: of the intervals' ends, absolute.
    """

    threshold: int
    critical: bool
    intervals: tuple[tuple[float, float], ...]
    outliers: tuple[FeatureOutlier, ...]
    spikes: tuple[LeadingSpike, ...] | None
    training_batch: tuple[FeatureOutlier, ...] | None
    labels: float
    error: float

    def as_json(self) -> dict[str, Any]:
        """The document of `predict --json` for this row."""
        document = {
            "threshold": self.threshold,
            "critical": self.critical,
            "count": len(self.outliers),
            "bulk": {"intervals": [list(interval) for interval in self.intervals], "error": self.error},
            "outliers": [asdict(outlier) for outlier in self.outliers],
            "labels": self.labels,
        }
        if self.training_batch is not None:
            document["training_batch"] = {"outliers": [asdict(outlier) for outlier in self.training_batch]}
        if self.spikes is not None:
            document["spikes"] = [{**asdict(spike), "exponent": str(spike.exponent)} for spike in self.spikes]
        return document


def predict(setup: FeaturesSetup) -> FeaturesPrediction:
    """The spectrum of one row.

    Raises:
        BadInput: for a link without finite Gaussian moments.
        ToleranceNotMet: if the tolerance asked for is out of reach, or an outlier is too close to the edge to tell.
    """
    training = setup.trained
    check_square_integrable(training.network.activation, "network.activation")
    check_square_integrable(training.network.activation.derivative(), "network.activation")
    check_square_integrable(training.data.target, "data.target")
    stats = statistics(training)
    target = _target(training.data.target)
    mean = expectation(training.network.activation)
    uncentred = abs(mean.value) > max(ZERO, 10 * mean.error)
    found = count(*training.training.alpha)
    batch = None
    if training.sizes.width == "limit":
        spiked, grow = _limit(setup, training, stats, target)
        outliers = _named(spiked.outliers(), None, stats, uncentred)
    else:
        spiked = _finite(setup, training, stats, target, FINE)
        coarse = _finite(setup, training, stats, target, COARSE).outliers()
        outliers = _named(spiked.outliers(), coarse, stats, uncentred)
        grow = None
        if training.training.steps == 1:
            seen, coarse = (training_batch(training, stats, accuracy).outliers() for accuracy in (FINE, COARSE))
            batch = _named(seen, coarse, stats, uncentred)
    _check(setup, outliers)
    ends = intervals(spiked.bulk)
    return FeaturesPrediction(found.spikes, found.critical, ends, outliers, grow, batch, stats.m2, EDGE * ends[-1][1])


def _target(link: Link) -> Array:
    return np.asarray(hermite.coefficients(link, np.ones(1), TARGET_TERMS)[:, 0])


def _finite(setup: FeaturesSetup, training: Setup, stats: Statistics, target: Array, accuracy: Accuracy) -> Spiked:
    operator = feature_operator(training.network.activation, trained(training, accuracy))
    sizes = training.sizes
    holding = spikes.output_holding(training, stats)
    found = spikes.finite_width(operator, target, int(sizes.width), sizes.dimension, setup.fresh, holding)
    return spikes.checked(training, found)


def _limit(
    setup: FeaturesSetup, training: Setup, stats: Statistics, target: Array
) -> tuple[Spiked, tuple[LeadingSpike, ...]]:
    activation, steps = training.network.activation, training.training
    ratio = float(setup.features.samples)
    coefficients = hermite.coefficients(activation, np.ones(1), hermite.LARGEST)[:, 0]
    coefficients = np.where(np.abs(coefficients) < ZERO, 0.0, coefficients)
    variance = expectation(activation, activation).value - coefficients[0] ** 2
    grow = tuple(leading(training, stats, coefficients, ratio))
    # Steps with α > 0 leave spikes that grow; those with α = 0 move one by an order of one only if no other step does.
    scales = [float(scale) if not any(steps.alpha) else 0.0 for scale in steps.scale]
    together = stats.tau**2 if steps.batches == "reused" else stats.c1**2
    square = sum(e * e for e in scales) * stats.tau**2
    square += 2 * together * sum(e * f for i, e in enumerate(scales) for f in scales[:i])
    direction = (abs(stats.mu1) * square**0.5, stats.mu1 * sum(scales) * stats.c1)
    growth = sum(scales) * stats.c0 * stats.mu2
    found = spikes.limit(coefficients, variance, direction, growth, target, (stats.psi, ratio))
    return found, grow


def _named(
    fine: list[Spike], coarse: list[Spike] | None, stats: Statistics, uncentred: bool
) -> tuple[FeatureOutlier, ...]:
    if coarse is not None and len(fine) != len(coarse):
        raise ToleranceNotMet(
            f"{len(fine)} outliers at one resolution and {len(coarse)} at another: one is too close to the edge to tell"
        )
    named, features = [], 0
    for here, other in zip(fine, coarse or fine, strict=True):
        mean = uncentred and here.constant > MEAN
        features += not mean
        merging = MERGING if coarse is not None else 0.0
        turned = max(abs(here.alignment - other.alignment), abs(here.constant - other.constant))
        named.append(
            FeatureOutlier(
                name="mean" if mean else f"feature {features}",
                location=here.location,
                alignment=min(here.alignment, stats.m2),  # rounding leaves it
                cosine=min(here.alignment / stats.m2, 1.0),
                constant=min(here.constant, 1.0),
                error=SAFETY * abs(here.location - other.location) + here.error + merging * here.location,
                alignment_error=(SAFETY * turned + here.alignment_error + merging) * max(1.0, 1 / stats.m2),
            )
        )
    return tuple(named)


def _check(setup: FeaturesSetup, outliers: tuple[FeatureOutlier, ...]) -> None:
    tolerance = setup.theory.tolerance if "tolerance" in setup.theory.model_fields_set else TOLERANCE
    worst = max((max(o.error / o.location, o.alignment_error) for o in outliers), default=0.0)
    if worst > tolerance:
        raise ToleranceNotMet(
            f"an outlier of the features is known to {worst:.1e}, not to the tolerance {tolerance:g}; "
            "ask for a larger theory.tolerance"
        )
