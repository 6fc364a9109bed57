"""Which predicted number of the weights is compared with which simulated one, and what is allowed at finite size.

Judged: the location of every predicted outlier, and the alignment of the first. Shown: the other alignments, where the
leading-order formula would put the outliers, the largest singular value of the bulk, and the number of singular values
outside it.

The allowances stand for what the rigid bulk leaves out: the update's own noise deforms the bulk by O(s²), s = η/√N,
which moves an outlier the more the closer it is to the bulk. Its mean variance, Σ_t s_t² φ m₂ Var σ', gives the scale:
a bulk of variance 1 + that much would move the outlier by a shift known in closed form. Measured over
validation/shapes, convergence and one-step-against-two (N = 250 … 2000), later outliers are off by at most 2.5 % and
twice that shift; where this would exceed 12 %, the rigid bulk is the wrong theory and the verdict says so. Fluctuations
of order N^(-1/2) are not part of the allowance: those of the mean are in its standard error.

A deformed bulk leaves none of that out: with it the top of the bulk, every alignment and the number of outliers are
judged as well, and the allowances are what remains at N of 500 and more (validation/deformed).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmtfl.compare import Quantity
from rmtfl.gaussian import expectation
from rmtfl.miscount import AT_LEAST, BULK_EDGE, COUNT
from rmtfl.outliers import RigidBulk
from rmtfl.setup import Setup
from rmtfl.weights.statistics import noise_variance

Draws = Mapping[str, NDArray[np.float64]]

FIRST_LOCATION = 0.03  # of the largest outlier, relative; measured: 1.1 % and less
LATER_LOCATION = 0.025  # of a later outlier, relative, beside what the deformation of the bulk may do
DEFORMATION = 2.0  # times the shift that a bulk of the update's mean noise variance would cause
LARGEST_LOCATION = 0.12  # of a later outlier, in all
ALIGNMENT = 0.02  # absolute
DEFORMED_FIRST = (0.02, 0.015)  # of the largest outlier with a deformed bulk, relative, after one step and after two
DEFORMED_LATER = (0.02, 0.03)  # of a later one
DEFORMED_TOP = (0.02, 0.03)  # of the top of the bulk
DEFORMED_ALIGNMENT = (0.012, 0.02)  # absolute
HEAVY_TAIL = 20.0  # E y⁴/(E y²)² beyond which single samples make the top of the bulk (relu: 6, He2: 15, He3: 93) ...
HEAVY_TOP = 0.2  # ... and how far, relatively, it is then off
EDGE_MARGIN = 2.0  # times N^(-2/3) the edge: the scale on which the top of the bulk fluctuates
NEAR_EDGE = 0.05  # an outlier closer than this to the edge for counts, relatively, may be counted as bulk in a draw
# One draw of an outlier has a relative standard deviation of at most (ONE_DRAW + ONE_DRAW_TAIL · sd(y²)/E y²) over the
# root of the smallest size. Seen at N = 300, noise 0.3, in two activations, two batch modes, four shapes: up to 1.25
# for a tanh target (the bound: 1.4), 2.2 for relu (2.3), 6.3 for He3 (6.8).
ONE_DRAW, ONE_DRAW_TAIL = 1.0, 0.6


def quantities(setup: Setup, prediction: Mapping[str, Any], trials: Draws) -> Iterator[Quantity]:
    """What is compared in one row.

    Args:
        setup: the row.
        prediction: its document, at a width or in the limit.
        trials: 'singular_values' of shape (trials, values), descending, and 'alignments' alike, where the target's
            direction is known; empty where nothing is simulated. A single draw has its spread from `one_draw_spread`.
    """
    if setup.sizes.width == "limit":
        yield from _limit(prediction)
        return
    yield from _outliers(setup, prediction, trials)
    yield from _bulk(setup, prediction, trials)


def _limit(prediction: Mapping[str, Any]) -> Iterator[Quantity]:
    for spike in prediction["spikes"]:
        yield Quantity(
            f"constant of N^({spike['exponent']}), k = {spike['k']}", float(spike["constant"]), float(spike["error"])
        )


def _outliers(setup: Setup, prediction: Mapping[str, Any], trials: Draws) -> Iterator[Quantity]:
    deformed = setup.theory.bulk == "deformed"
    leading = [] if setup.theory.order == "leading" else leading_locations(prediction, float(setup.sizes.psi))
    for j, outlier in enumerate(prediction["outliers"]):
        location = float(outlier["location"])
        if deformed:
            relative, reason = _deformed(setup, DEFORMED_LATER if j else DEFORMED_FIRST)
        else:
            relative, reason = location_allowance(setup, j, float(prediction["spikes"][j]["strength"]))
        sample = _nth(trials, "singular_values", j)
        error = float(outlier["error"])
        yield Quantity(
            f"outlier {j + 1}",
            location,
            error,
            sample,
            allowance=relative * location,
            reason=reason,
            judged=True,
            spread=one_draw_spread(setup) * location if len(sample) == 1 else None,
        )
        if j < len(leading):
            yield Quantity(f"outlier {j + 1}, leading order", leading[j], 0.0, sample)
        aligned = _nth(trials, "alignments", j)
        if trials and not aligned:
            continue
        judged, allowed = deformed or j == 0, DEFORMED_ALIGNMENT[setup.training.steps - 1] if deformed else ALIGNMENT
        yield Quantity(
            f"alignment {j + 1}",
            float(outlier["alignment"]),
            error,
            aligned,
            allowance=allowed if judged else 0.0,
            reason=f"{allowed}, for the {setup.theory.bulk} bulk" if judged else "",
            judged=judged,
        )


def _bulk(setup: Setup, prediction: Mapping[str, Any], trials: Draws) -> Iterator[Quantity]:
    count, deformed = len(prediction["outliers"]), setup.theory.bulk == "deformed"
    highest = _nth(trials, "singular_values", count)
    if deformed:
        top = float(prediction["bulk"]["top"])
        relative, reason = _deformed(setup, DEFORMED_TOP)
        if label_kurtosis(setup) > HEAVY_TAIL:
            relative, reason = HEAVY_TOP, f"{HEAVY_TOP:.0%} of the location, for heavy-tailed labels"
        error = float(prediction["bulk"]["error"])
        yield Quantity("top of the bulk", top, error, highest, relative * top, reason, judged=True)
    else:
        yield Quantity(BULK_EDGE, float(prediction["bulk"]["upper"]), 0.0, highest)
    edge = count_edge(setup, prediction)
    values = np.asarray(trials.get("singular_values", np.empty((0, 0))))
    observed = (values > edge).sum(axis=1)
    capped = bool(np.any(observed == values.shape[1])) and values.shape[1] < rank(setup)
    name = AT_LEAST if capped else COUNT
    counts = tuple(observed.astype(float).tolist())
    if not deformed:
        yield Quantity(name, float(count), 0.0, counts)
        return
    close = sum(float(outlier["location"]) < edge * (1 + NEAR_EDGE) for outlier in prediction["outliers"])
    reason = f"0.5, and {close} predicted close to the edge"
    yield Quantity(name, float(count), 0.0, counts, 0.5 + close, reason, judged=not capped)


def _deformed(setup: Setup, allowances: tuple[float, float]) -> tuple[float, str]:
    """The relative allowance with a deformed bulk, by the number of steps, and its reason."""
    relative = allowances[setup.training.steps - 1]
    return relative, f"{relative:.1%} of the location, for the deformed bulk"


def label_kurtosis(setup: Setup) -> float:
    """E y⁴/(E y²)², noise included."""
    target, variance = setup.data.target, float(setup.data.noise) ** 2
    second = expectation(target, target).value
    fourth = expectation(target, target, target, target).value + 6 * second * variance + 3 * variance**2
    return float(fourth / (second + variance) ** 2)


def count_edge(setup: Setup, prediction: Mapping[str, Any]) -> float:
    """Above this a singular value counts as an outlier: the edge, and the room the top of the bulk fluctuates in."""
    return float(prediction["bulk"]["upper"]) * (1.0 + EDGE_MARGIN * math.pow(rank(setup), -2 / 3))


def rank(setup: Setup) -> int:
    """The number of singular values of the weights."""
    return min(int(setup.sizes.width), setup.sizes.dimension)


def location_allowance(setup: Setup, index: int, strength: float) -> tuple[float, str]:
    """The relative allowance of the outlier with this index from 0 and this spike strength, and its reason."""
    if index == 0:
        return FIRST_LOCATION, f"{FIRST_LOCATION:.0%} of the location, for the rigid bulk"
    reason = (
        f"{LATER_LOCATION:.1%} of the location and {DEFORMATION:g} times the shift that the update's own noise would "
        f"cause, at most {LARGEST_LOCATION:.0%}, for the rigid bulk"
    )
    return min(LATER_LOCATION + DEFORMATION * deformation_shift(setup, strength), LARGEST_LOCATION), reason


def deformation_shift(setup: Setup, strength: float) -> float:
    """How far, relatively, an outlier would move if the bulk had the mean variance of the update's noise on top.

    Entries of variance v/d put the outlier of a spike θ at √((v + θ²)(ψv + θ²))/θ; here v = 1 + Σ_t s_t² φ m₂ Var σ'.
    """
    psi, variance = float(setup.sizes.psi), 1 + noise_variance(setup)
    square = strength * strength
    noisy = (variance + square) * (psi * variance + square)
    return math.sqrt(noisy / ((1 + square) * (psi + square))) - 1


def one_draw_spread(setup: Setup) -> float:
    """A bound on the relative standard deviation of an outlier's location in one draw, where there is but one."""
    tail = math.sqrt(max(label_kurtosis(setup) - 1, 0.0))
    smallest = min(int(setup.sizes.width), setup.sizes.dimension, setup.sizes.samples)
    return (ONE_DRAW + ONE_DRAW_TAIL * tail) / math.sqrt(smallest)


def leading_locations(prediction: Mapping[str, Any], psi: float) -> list[float]:
    """Where the leading-order strengths would put outliers; those below the threshold put none."""
    bulk = RigidBulk(psi)
    return [bulk.location(strength) for strength in prediction["leading"] if strength > bulk.threshold]


def _nth(trials: Draws, key: str, index: int) -> tuple[float, ...]:
    """The index-th number of every trial; empty where a trial has none, as for a matrix with fewer singular values."""
    values = trials.get(key)
    if values is None or values.shape[1] <= index:
        return ()
    return tuple(values[:, index].tolist())
