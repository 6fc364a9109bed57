"""The Gaussian equivalent of the features given a sample's coordinates along the directions of training.

On a sample with coordinates t along those directions the feature of a neuron is, in law,

    m(a, t) + c(a, t) ⟨w', x⟩ + (‖w'‖² − ρ²) E σ''/2 + √v(a, t) noise,
    m = E σ,  c = E σ',  v = Var σ − ρ² c²   at ⟨m(a), t⟩ + ρ(a) g,

w' the neuron's own row of variance ρ²/d (theory/feature-regression.md, `feature-regression.equivalent`). m and c are
separated into few terms in a and t; t is a product rule, cut at the kinks of the target along its axis.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rmtfl.errors import ToleranceNotMet
from rmtfl.features.neurons import Neurons
from rmtfl.gaussian import rule
from rmtfl.links import Link
from rmtfl.regression.batches import Batches
from rmtfl.regression.layer import Layer
from rmtfl.regression.moments import moments
from rmtfl.weights.second_layer import hermite_rule

Array = NDArray[np.float64]

FARTHEST = 7.5  # of the target coordinate: what lies beyond weighs 1e-13
NEGLIGIBLE = 1e-10  # weight of a node that is left out
MEAN_CUTOFF = 1e-9  # relative size of what is left out of m
LARGEST_ORDER = 40  # nodes along one direction


@dataclass(frozen=True)
class Features:
    """The equivalent on nodes: m = mean_left @ mean_right, c = linear_left @ linear_right, v = rest.

    Attributes:
        neuron: masses of the nodes in a, shape (m,).
        batches: what ρ² is the sum of.
        sample: masses of the nodes in t, shape (k,).
        coordinates: t, shape (J, k), the first along the target.
        label: target(t₀), shape (k,).
        mean_left, mean_right: shapes (m, p), (p, k).
        linear_left, linear_right: shapes (m, q), (q, k).
        bent_left, bent_right: of E σ''/2, by which m changes with ‖w'‖², shapes (m, s), (s, k).
        fluctuation: of single neurons' rows along t and of their square norms, as that of `Layer`.
        rest: v, shape (m, k).
    """

    neuron: Array
    batches: Batches
    sample: Array
    coordinates: Array
    label: Array
    mean_left: Array
    mean_right: Array
    linear_left: Array
    linear_right: Array
    bent_left: Array
    bent_right: Array
    fluctuation: Array
    rest: Array


def features(activation: Link, target: Link, trained: Layer, level: float, cutoff: float) -> Features:
    """The equivalent of a layer.

    Args:
        activation: σ.
        target: of the labels.
        trained: the layer.
        level: refinement of the rules in t and in the neuron.
        cutoff: relative size of the terms of c that are left out; they count towards v.

    Raises:
        ToleranceNotMet: if the activation overflows doubles.
    """
    neurons = trained.neurons
    coordinates, sample = _grid(target, neurons, level)
    centre = neurons.mean @ coordinates
    with np.errstate(over="ignore", invalid="ignore"):
        spread = neurons.spread[:, None]
        found = moments(activation, centre, spread, level)
    if not all(np.all(np.isfinite(part)) for part in (found.square, found.slope, found.curvature)):
        raise ToleranceNotMet("the activation overflows doubles on the trained weights: it grows too fast")
    left, right = _separated(found.slope, neurons.weight, sample, cutoff)
    rest = np.maximum(found.square - found.value**2 - (spread * (left @ right)) ** 2, 0.0)
    return Features(
        neurons.weight,
        trained.batches,
        sample,
        coordinates,
        target.numpy()(coordinates[0].copy()),
        *_separated(found.value, neurons.weight, sample, MEAN_CUTOFF),
        left,
        right,
        *_separated(found.curvature / 2, neurons.weight, sample, cutoff),
        trained.fluctuation,
        rest,
    )


def _grid(target: Link, neurons: Neurons, level: float) -> tuple[Array, Array]:
    sizes = np.sqrt(neurons.weight @ neurons.mean**2)
    orders = [min(LARGEST_ORDER, round((7 + 2 * level) * (1 + 2 * math.sqrt(size)))) for size in sizes[1:]]
    axes = [rule(target.breakpoints, level, FARTHEST), *map(hermite_rule, orders)]
    nodes = np.array(np.meshgrid(*(x for x, _ in axes), indexing="ij")).reshape(len(axes), -1)
    weight = np.prod(np.array(np.meshgrid(*(w for _, w in axes), indexing="ij")).reshape(len(axes), -1), axis=0)
    kept = weight > NEGLIGIBLE
    return nodes[:, kept], weight[kept] / weight[kept].sum()


def _separated(values: Array, left: Array, right: Array, cutoff: float) -> tuple[Array, Array]:
    """Values at (a, t) as a product of functions of a and orthonormal functions of t."""
    roots = np.sqrt(left)[:, None], np.sqrt(right)
    u, singular, v = np.linalg.svd(roots[0] * values * roots[1], full_matrices=False)
    rank = max(1, int(np.sum(singular > cutoff * singular[0])))
    return u[:, :rank] * singular[:rank] / roots[0], v[:rank] / roots[1]
