"""The trained layer as a fresh sample sees it: mean rows and spreads, by second-layer weight.

Given ā and the training data a row is w = m(ā) + w', w' independent from neuron to neuron (`Neurons`). After one step m
is ā s₁ μ₁ b; after two, ā (s₁ μ₁ b + s₂ V(ā)) (`rmtfl.weights.rows`). The mean rows lie close to a few directions: the
target's, and the leading ones across it; what is left of them counts towards the spread, ρ² = E ‖w'‖², which is exact
in the limit (theory/feature-regression.md, `feature-regression.spread`). Of w' it is told apart what is isotropic and
what lies along the samples of the batches (`rmtfl.regression.batches`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rmtfl.features.neurons import Neurons
from rmtfl.features.spread import Spread, after_one_step, independent, reused
from rmtfl.gaussian import density, hermite_coefficient
from rmtfl.regression.batches import Batches, batches
from rmtfl.setup import Setup
from rmtfl.weights import second_layer
from rmtfl.weights.rows import FIELDS, Resolution, build
from rmtfl.weights.statistics import Statistics, statistics

Array = NDArray[np.float64]

REACH = 6.0  # of a normal ā
MOST_DIRECTIONS = 2  # across the target
WEAKEST = 0.03  # θ = √N × root mean square of a direction's coefficients below which it counts towards the spread


@dataclass(frozen=True)
class Layer:
    """The neurons, and how single ones differ from others of their ā.

    Attributes:
        neurons: mean rows and spreads.
        fluctuation: d × the covariance of w' along the axes of the mean rows and of ‖w'‖², shape (m, D + 1, D + 1).
        batches: what is isotropic of w', and what is not.
    """

    neurons: Neurons
    fluctuation: Array
    batches: Batches


def untrained() -> Layer:
    """All neurons alike: no mean, and rows of N(0, I/d)."""
    neurons = Neurons(np.zeros(1), np.ones(1), np.zeros((1, 1)), np.ones(1))
    alike = Batches(np.ones(1), np.empty((0, 1)), np.ones(1), np.ones(1), 1.0)
    return Layer(neurons, np.diag([1.0, 2.0])[None], alike)


def layer(setup: Setup, order: int, level: int, samples: int = 8) -> Layer:
    """The neurons after the setup's steps.

    Args:
        setup: one or two steps, at a width.
        order: nodes in ā, or a third of it on either side of zero where a kinked activation sees a reused batch.
        level: refinement of every other variable.
        samples: nodes in the share of a batch's sample in the rows.
    """
    stats, training = statistics(setup), setup.training
    cut = training.steps == 2 and training.batches == "reused" and bool(setup.network.activation.kinks)
    a, weight = _second_layer(setup.network.second_layer, order, cut)
    width = int(setup.sizes.width)
    first, second = training.step_size(0, width), 0.0
    if training.steps == 1:
        update = np.outer(first * a, [stats.c1, stats.perpendicular])
        mean, spread = stats.mu1 * update, after_one_step(setup, stats, first * a)
    else:
        second = training.step_size(1, width)
        mean, spread, update = _two_steps(setup, stats, (first, second), (a, weight), cut, level + cut)
    variance = spread.total
    return Layer(
        Neurons(a, weight, mean, np.sqrt(variance)),
        _fluctuation(setup, stats, variance, (first + second) * a, update),
        batches(spread, stats.phi, samples),
    )


def _fluctuation(setup: Setup, stats: Statistics, square: Array, shift: Array, update: Array) -> Array:
    """That of `Layer`: to first order in the steps, ‖w₀‖² bends the mean rows, and a row along them grows."""
    slope = setup.network.activation.derivative()
    bent = hermite_coefficient(slope, 2).value * update
    growth = square + (1 + shift * stats.c0 * stats.mu2) * shift * stats.c0 * hermite_coefficient(slope, 3).value
    axes = bent.shape[1]
    found = np.empty((square.size, axes + 1, axes + 1))
    found[:, :axes, :axes] = square[:, None, None] * np.eye(axes) + bent[:, :, None] * bent[:, None, :] / 2
    found[:, :axes, axes] = found[:, axes, :axes] = (2 * square + growth)[:, None] * bent
    found[:, axes, axes] = 2 * growth**2 + 4 * square * (bent**2).sum(axis=1)
    return found


def _second_layer(law: str, order: int, cut: bool) -> tuple[Array, Array]:
    """A rule for ā: for a normal one the trapezoid rule on less than the whole line, 1e-9 of which is cut off."""
    if law != "gaussian" or cut:
        return second_layer.rule(law, order // 3 if cut else order, cut=cut)
    a = np.linspace(-REACH, REACH, order)
    weight = density(a)
    return a, weight / weight.sum()


def _two_steps(
    setup: Setup, stats: Statistics, steps: tuple[float, float], rule: tuple[Array, Array], cut: bool, level: int
) -> tuple[Array, Spread, Array]:
    """m, ρ² by its parts, and to first order in the steps the updates over E σ' in the frame of m."""
    (first, second), (a, weight) = steps, rule
    resolution = Resolution.at(np.full(FIELDS, level), cut)
    rows = build(setup, stats, first, a, weight, resolution)
    coefficients = a[:, None] * np.column_stack([np.full(a.size, first * stats.mu1), second * rows.mixing])
    spanning = np.vstack([rows.direction, rows.vectors, first * rows.direction + second * rows.residual])
    triangle = np.asarray(np.linalg.qr(spanning[:, 1:].T, mode="r"))
    across = coefficients @ triangle[:, :-1].T
    root = np.sqrt(weight)[:, None]
    left, strengths, frame = np.linalg.svd(root * across, full_matrices=False)
    count = min(MOST_DIRECTIONS, int(np.sum(math.sqrt(int(setup.sizes.width)) * strengths >= WEAKEST)))
    mean = np.column_stack([coefficients @ spanning[:-1, 0], left[:, :count] * strengths[:count] / root])
    spreads = reused if setup.training.batches == "reused" else independent
    spread = spreads(setup, stats, (first, second), (a, weight), resolution)
    rest = np.maximum((across**2).sum(axis=1) - (mean[:, 1:] ** 2).sum(axis=1), 0.0)
    update = np.outer(a, [spanning[-1, 0], *(frame[:count] @ triangle[:, -1])])
    return mean, replace(spread, own=spread.own + rest), update
