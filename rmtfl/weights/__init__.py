"""Predictions for the trained first layer: the exact count, the limit, and the finite width."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from rmtfl.errors import BadInput, ToleranceNotMet
from rmtfl.gaussian import check_square_integrable
from rmtfl.outliers import RigidBulk
from rmtfl.setup import HALF, Setup
from rmtfl.weights.deformed import check_offered, deformed_bulk
from rmtfl.weights.finite_width import ROUNDING, SMALLEST, FiniteRank, finite_rank
from rmtfl.weights.limit import leading_order, limit
from rmtfl.weights.prediction import Bulk, LimitPrediction, Outlier, Spike, WeightsPrediction
from rmtfl.weights.statistics import NOISY, noise_variance
from rmtfl.weights.threshold import Threshold, threshold

__all__ = ["Threshold", "predict", "threshold"]

FLOAT_DIGITS = 15
SHOWN_SPIKES = 1e-3  # relative accuracy of spikes that nothing depends on
EXPANDED_STEPS = 2  # more have no expansion in leading order
RECURSION_TOLERANCE = 1e-3  # of more steps where the study asks for none: its default is out of their reach
NO_SPIKES = FiniteRank(*np.zeros((4, 0)))


def predict(setup: Setup) -> WeightsPrediction | LimitPrediction:
    """The singular values of the weights after the last step.

    Raises:
        BadInput: for a link without finite Gaussian moments, or a deformed bulk that is not offered.
        ToleranceNotMet: if the tolerance or the digits asked for are out of reach.
    """
    check_square_integrable(setup.network.activation, "network.activation")
    check_square_integrable(setup.network.activation.derivative(), "network.activation")
    check_square_integrable(setup.data.target, "data.target")
    _check_steps(setup)
    if setup.sizes.width == "limit":
        return limit(setup)  # s = η/√N vanishes: the bulk is rigid
    if (setup.theory.digits or 0) > FLOAT_DIGITS:
        raise ToleranceNotMet(
            f"key 'theory.digits': {setup.theory.digits} digits at a finite width are out of reach of doubles; "
            f"ask for at most {FLOAT_DIGITS}, or for width = 'limit'"
        )
    return _finite(setup)


def _check_steps(setup: Setup) -> None:
    """Refuse a leading order of more steps than it is derived for.

    Raises:
        BadInput: naming the key.
    """
    steps = setup.training.steps
    if steps <= EXPANDED_STEPS:
        return
    reason = f"the constants of the leading order are not derived for {steps} steps (`threshold` gives their exponents)"
    if setup.sizes.width == "limit":
        raise BadInput(f"key 'sizes.width': value limit: {reason}; expected a number")
    if setup.theory.order == "leading":
        raise BadInput(f"key 'theory.order': value leading: {reason}; expected finite-width")


def _tolerance(setup: Setup) -> float:
    """The relative tolerance of the spikes."""
    if setup.theory.bulk == "deformed":  # which puts its outliers without the spikes: they are only shown beside them
        return max(setup.theory.tolerance, SHOWN_SPIKES)
    if setup.training.steps > EXPANDED_STEPS and "tolerance" not in setup.theory.model_fields_set:
        return RECURSION_TOLERANCE
    return setup.theory.tolerance


def _finite(setup: Setup) -> WeightsPrediction:
    deformed = setup.theory.bulk == "deformed"
    if deformed:
        check_offered(setup)
    # A step of order one has no expansion: all its terms are as large.
    small = HALF not in setup.training.alpha
    found = threshold(*setup.training.alpha) if small else None
    typical = setup.data.batch is None  # the spikes are those of the laws, and not of one batch
    leading = leading_order(setup) if typical and small and setup.training.steps <= EXPANDED_STEPS else NO_SPIKES
    try:
        rank = leading if setup.theory.order == "leading" or not typical else finite_rank(setup, _tolerance(setup))
    except ToleranceNotMet:
        if not deformed:
            raise
        rank = NO_SPIKES  # they are only shown
    if deformed:
        bulk, outliers = deformed_bulk(setup, float(max(rank.strengths, default=_farthest(setup))))
    else:
        rigid = RigidBulk(float(setup.sizes.psi))
        bulk, outliers = Bulk(rigid.lower, rigid.upper, rigid.upper), tuple(_outliers(rank, rigid))
    noise = noise_variance(setup)
    return WeightsPrediction(
        threshold=found.threshold if found else None,
        critical=bool(found and found.critical),
        generic_count=found.generic_count if found else None,
        count=len(outliers),
        bulk=bulk,
        spikes=tuple(
            Spike(float(s), float(e))
            for s, e in zip(rank.strengths, rank.strength_errors, strict=True)
            if s >= SMALLEST
        ),
        outliers=outliers,
        leading=tuple(float(s) for s in leading.strengths),
        psi=float(setup.sizes.psi),
        step_sizes=tuple(setup.training.step_size(t, int(setup.sizes.width)) for t in range(setup.training.steps)),
        update_noise=noise,
        bulk_trusted=deformed or noise <= NOISY,
    )


def _farthest(setup: Setup) -> float:
    """About how strong a spike could be."""
    width = int(setup.sizes.width)
    return math.sqrt(width) * sum(setup.training.step_size(t, width) for t in range(setup.training.steps))


def _outliers(rank: FiniteRank, bulk: RigidBulk) -> Iterator[Outlier]:
    """The spikes above the threshold of the bulk, as outliers; errors carried over to first order."""
    columns = (rank.strengths, rank.strength_errors, rank.overlaps, rank.overlap_errors)
    for strength, error, overlap, overlap_error in zip(*(column.tolist() for column in columns), strict=True):
        if abs(strength - bulk.threshold) <= error:
            raise ToleranceNotMet(
                f"a spike of strength {strength:.12g} is within its error of the threshold {bulk.threshold:.12g}; "
                "ask for a smaller theory.tolerance"
            )
        if strength > bulk.threshold:
            right = bulk.right_overlap(strength)
            yield Outlier(
                location=bulk.location(strength),
                alignment=right * overlap,
                error=max(
                    bulk.location_slope(strength) * error + ROUNDING * strength,
                    right * overlap_error + overlap * bulk.right_overlap_slope(strength) * error,
                ),
            )
