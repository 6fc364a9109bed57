"""The weights at width N: the finite-rank part with the step sizes kept finite.

Given ā, the mean of a neuron's update is Ψ(ā) = ā (s₁ μ₁ b + s₂ V(ā)); the squares of the spikes are the eigenvalues of
N ⟨Ψ(a), Ψ(a')⟩ on L²(law of ā) (theory/two-step.md, `two-step.resummed`). The Gram products are those of explicit
vectors (`rmtfl.weights.rows`), so the spikes come from a singular value decomposition, never squared: spikes far apart
in scale keep their digits.

The error reported is the difference between two resolutions, the finer of which gives the number, or a share of the
difference to a third, coarser one, if that is larger. All variables are refined together first; a setup that this does
not settle is refined variable by variable, and the error is then the sum
of what one more level of each changes. What the formula itself neglects is O(N^{-1/2}), and the deformation of the
bulk, O(s²); neither is part of this error. Three and more steps come from the recursion of `rmtfl.weights.many_steps`,
refined jointly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rmtfl.errors import ToleranceNotMet
from rmtfl.setup import Setup
from rmtfl.weights import many_steps, second_layer
from rmtfl.weights.rows import FIELDS, Resolution, build
from rmtfl.weights.statistics import Statistics, statistics

Array = NDArray[np.float64]

SMALLEST = 0.1  # spikes below it are not reported
EPSILON = float(np.finfo(float).eps)
ROUNDING = 64 * EPSILON  # of the largest spike: what sums of a few thousand terms lose
FIRST_LEVEL = -2  # what suits softplus is 0; tanh needs one or two more
AGREEMENT = 1 / 100  # of the distance to the level before last: two levels may agree by accident, three do not
RECURSION_AGREEMENT = 1 / 10  # the same for the recursion over steps, whose levels refine less evenly
JOINT_LEVELS = 6
ROUNDS = 12
WORK = 1.6e9  # evaluations of a smooth activation in one prediction: five seconds for tanh, twenty for softplus


@dataclass(frozen=True)
class FiniteRank:
    """The singular values θ of the finite-rank part, descending, and how its right vectors overlap with the target.

    Attributes:
        strengths: every θ_j ≥ 0.1, shape (k,).
        overlaps: ⟨q_j, β⟩² for each, shape (k,).
        strength_errors: bounds on the numerical error, shape (k,).
        overlap_errors: the same for the overlaps.
    """

    strengths: Array
    overlaps: Array
    strength_errors: Array
    overlap_errors: Array

    def meets(self, tolerance: float) -> bool:
        """Whether every number is within the tolerance: relative for strengths, absolute for overlaps."""
        return bool(
            np.all(self.strength_errors <= tolerance * self.strengths) and np.all(self.overlap_errors <= tolerance)
        )


def finite_rank(setup: Setup, tolerance: float) -> FiniteRank:
    """The finite-rank part at setup.sizes.width, to a relative tolerance.

    Raises:
        ToleranceNotMet: if refining the quadrature does not reach the tolerance.
    """
    stats = statistics(setup)
    width = int(setup.sizes.width)
    if setup.training.steps == 1:
        size = math.sqrt(width * second_layer.moment(setup.network.second_layer, 2))
        found = _one_step(stats, size * setup.training.step_size(0, width))
    elif setup.training.steps > 2:
        found = by_recursion(setup, stats, width, tolerance)
    else:
        found = _two_steps(setup, stats, width, tolerance)
    if not found.meets(tolerance):
        worst = max(found.strength_errors / found.strengths, default=0.0)
        worst = max(worst, *found.overlap_errors, 0.0)
        raise ToleranceNotMet(
            f"the prediction at width {width} reached {worst:.1e}, not the tolerance {tolerance:g}; "
            "ask for a larger theory.tolerance"
        )
    return found


def _one_step(stats: Statistics, step: float) -> FiniteRank:
    strength = step * abs(stats.mu1) * stats.tau
    keep = slice(0, 1 if strength >= SMALLEST else 0)
    overlap_error = 4 * stats.error / stats.tau**2 + 8 * EPSILON
    relative = 4 * stats.error / max(abs(stats.mu1), 1e-300) + overlap_error
    return FiniteRank(
        np.array([strength])[keep],
        np.array([(stats.c1 / stats.tau) ** 2])[keep],
        np.array([strength * relative])[keep],
        np.array([overlap_error])[keep],
    )


def by_recursion(setup: Setup, stats: Statistics, width: int, tolerance: float) -> FiniteRank:
    """The finite-rank part of any number of steps on independent batches, whether or not the tolerance is met."""

    def at(level: int) -> tuple[tuple[Array, Array], float]:
        rows = many_steps.rows(setup, stats, width, many_steps.Resolution.at(level))
        matrix = np.sqrt(width * rows.weights)[:, None] * rows.vectors
        return _singular(matrix, matrix @ rows.target), math.sqrt(width) * rows.unresolved

    older, previous = at(0)[0], at(1)[0]
    for level in range(2, JOINT_LEVELS):
        current, common = at(level)
        near, far = (_with_errors(current, other, common) for other in (previous, older))
        found = _larger_errors(near, far, RECURSION_AGREEMENT)
        if found.meets(tolerance):
            break
        older, previous = previous, current
    return found


class _Decompositions:
    """What `decompose` finds at given levels, until the work allowed for one prediction is spent."""

    def __init__(self, setup: Setup, stats: Statistics, width: int, tolerance: float) -> None:
        self.arguments = (setup, stats, width)
        self.tolerance = tolerance
        self.spent = 0.0

    def at(self, levels: NDArray[np.int_]) -> tuple[Array, Array]:
        setup, _, width = self.arguments
        resolution = _resolution(setup, levels)
        self.spent += _cost(setup, resolution)
        if self.spent > WORK:
            raise ToleranceNotMet(
                f"the prediction at width {width} takes too much work at the tolerance {self.tolerance:g}; "
                "ask for a larger theory.tolerance"
            )
        return decompose(*self.arguments, resolution)


def _two_steps(setup: Setup, stats: Statistics, width: int, tolerance: float) -> FiniteRank:
    decompositions = _Decompositions(setup, stats, width, tolerance)
    levels = np.full(FIELDS, FIRST_LEVEL)
    older, previous = decompositions.at(levels), decompositions.at(levels + 1)
    levels = levels + 1
    for _ in range(JOINT_LEVELS - 2):
        levels = levels + 1
        current = decompositions.at(levels)
        found = _larger_errors(_with_errors(current, previous), _with_errors(current, older), AGREEMENT)
        if found.meets(tolerance):
            return found
        older, previous = previous, current
    return _variable_by_variable(decompositions, levels, found)


def _variable_by_variable(decompositions: _Decompositions, levels: NDArray[np.int_], found: FiniteRank) -> FiniteRank:
    """Refine only the variables whose last level changed something, until no last level does."""
    (setup, stats, _), tolerance = decompositions.arguments, decompositions.tolerance
    fields = _used(setup, stats)
    share = tolerance / (2 * len(fields))
    changes: dict[int, FiniteRank] = {}
    stale = set(fields)
    for _ in range(ROUNDS):
        base = decompositions.at(levels)
        count = int(np.sum(base[0] >= SMALLEST))
        stale |= {field for field, change in changes.items() if change.strengths.size != count}
        for field in stale:
            lowered = levels.copy()
            lowered[field] -= 1
            changes[field] = _with_errors(base, decompositions.at(lowered))
        found = FiniteRank(
            base[0][:count],
            base[1][:count],
            np.sum([change.strength_errors for change in changes.values()], axis=0),
            np.sum([change.overlap_errors for change in changes.values()], axis=0),
        )
        if found.meets(tolerance):
            break
        stale = {field for field in fields if not changes[field].meets(share)}
        for field in stale:
            levels[field] += 1 if changes[field].meets(1e3 * share) else 2
    return found


def _cut(setup: Setup) -> bool:
    """Whether the rows have a kink at ā = 0: a kinked activation sees its own kinks again in a reused batch."""
    return setup.training.batches == "reused" and bool(setup.network.activation.kinks)


def _resolution(setup: Setup, levels: NDArray[np.int_]) -> Resolution:
    return Resolution.at(levels, _cut(setup))


def _used(setup: Setup, stats: Statistics) -> list[int]:
    """The fields of a resolution that the setup depends on."""
    fields = [0, 1, 5, 6]
    if setup.training.batches == "reused":
        fields += [3] if setup.network.activation.kinks else [2, 3]
        fields += [4] if stats.noise > 0 else []
    return [field for field in fields if field != 0 or setup.network.second_layer != "rademacher"]


def _cost(setup: Setup, resolution: Resolution) -> float:
    """The work of one decomposition, in evaluations of a smooth activation and its derivative."""
    activation, kinks = setup.network.activation, len(setup.network.activation.kinks)
    direction = 34 * math.pow(0.6, -resolution.direction)
    neuron = 36 * math.pow(0.6, -resolution.neuron)
    if setup.training.batches == "independent":
        return resolution.second_layer * direction * neuron
    if not kinks:
        return resolution.second_layer * resolution.hidden * resolution.label * neuron
    points = 2 * resolution.second_layer * direction * resolution.label
    # Owen's function for every pair of kinks; a spline at some two hundred values of h. Both were timed.
    return points * (64 * kinks * (kinks + 1) if activation.is_piecewise_linear else 4000 * resolution.neuron)


def _with_errors(numbers: tuple[Array, Array], other: tuple[Array, Array], common: float = 0.0) -> FiniteRank:
    """The numbers, with their distances to the other's as errors, and what rounding and a common error add."""
    strengths, overlaps = numbers
    count = int(np.sum(strengths >= SMALLEST))
    shared = min(count, other[0].size)
    strength_errors, overlap_errors = strengths[:count].copy(), np.ones(count)
    strength_errors[:shared] = np.abs(strengths[:shared] - other[0][:shared])
    overlap_errors[:shared] = np.abs(overlaps[:shared] - other[1][:shared])
    if count:
        rounding = ROUNDING * strengths[0] + common
        ends = np.concatenate([[np.inf], strengths[:count], strengths[count : count + 1], [0.0]])[: count + 2]
        gaps = np.minimum(-np.diff(ends)[:count], -np.diff(ends)[1 : count + 1])
        strength_errors += rounding
        turned = rounding / np.maximum(gaps, 1e-300)  # the angle by which a right vector is off
        overlap_errors += np.minimum(1.0, turned * (2 * np.sqrt(overlaps[:count]) + turned)) + ROUNDING
    return FiniteRank(strengths[:count], overlaps[:count], strength_errors, overlap_errors)


def _larger_errors(found: FiniteRank, other: FiniteRank, share: float) -> FiniteRank:
    """The same numbers, with errors at least a share of the other's."""
    return FiniteRank(
        found.strengths,
        found.overlaps,
        np.maximum(found.strength_errors, share * other.strength_errors),
        np.maximum(found.overlap_errors, share * other.overlap_errors),
    )


def decompose(setup: Setup, stats: Statistics, width: int, resolution: Resolution) -> tuple[Array, Array]:
    """The singular values of the finite-rank part and their squared target overlaps, at one resolution.

    Values below half the smallest reported one are left out.
    """
    first, second = (setup.training.step_size(t, width) for t in range(2))
    nodes, weights = second_layer.rule(setup.network.second_layer, resolution.second_layer, cut=_cut(setup))
    with np.errstate(over="ignore", invalid="ignore"):  # an overflow is refused there
        rows = build(setup, stats, first, nodes, weights, resolution)
    spanning = np.vstack([rows.direction, rows.vectors])
    triangle = np.asarray(np.linalg.qr(spanning.T, mode="r"))
    mixing = np.column_stack([np.full(nodes.size, first * stats.mu1), second * rows.mixing])
    mixing *= (math.sqrt(width) * nodes * np.sqrt(weights))[:, None]
    return _singular(mixing @ triangle.T, mixing @ spanning[:, 0])


def _singular(matrix: Array, along: Array) -> tuple[Array, Array]:
    """The reported singular values, and the squared overlaps of right vectors with the target that rows are `along`."""
    left, strengths, _ = np.linalg.svd(matrix, full_matrices=False)
    reported = strengths >= SMALLEST / 2
    along_target = (left.T @ along)[reported] / strengths[reported]
    return strengths[reported], along_target**2
