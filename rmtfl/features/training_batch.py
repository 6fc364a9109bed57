"""The conjugate kernel on the training batch after one step: a different matrix, with larger outliers.

A sample of the batch is in the update: its preactivations are h⁽¹⁾ = h + S(μ₁ G + c₀ μ₂ h + ξ + φ y σ'(h)), and its
coordinate along b^⊥ has its own summand in it, G + φ y instead of G. The mean E[σ(h⁽¹⁾) | ā, y, G] takes the place of
K(a, t); the rest is as on fresh samples (theory/features.md, `features.training-batch`). The bulk is that of fresh
samples, which is off by O(s): outliers near it are a guide.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from rmtfl.features.bulk import Bulk
from rmtfl.features.neurons import Accuracy, trained
from rmtfl.features.operator import feature_operator
from rmtfl.features.spikes import Spiked, checked, layer_masses, output_holding
from rmtfl.setup import Setup
from rmtfl.weights import conditional
from rmtfl.weights.rows import FIELDS, Resolution, ReusedFrame
from rmtfl.weights.statistics import Statistics

Array = NDArray[np.float64]

NEGLIGIBLE = 1e-13  # weight of a node in (y, G) that is left out


def training_batch(setup: Setup, stats: Statistics, accuracy: Accuracy) -> Spiked:
    """The spikes of the kernel on the batch of a single step.

    Args:
        setup: of one step, at a width.
        stats: its moments.
        accuracy: of the averages.
    """
    width, dimension, samples = int(setup.sizes.width), setup.sizes.dimension, setup.sizes.samples
    activation = setup.network.activation
    operator = feature_operator(activation, trained(setup, accuracy))
    neurons = operator.neurons
    resolution = Resolution.at(np.full(FIELDS, accuracy.level), bool(activation.kinks))
    frame = ReusedFrame(setup, stats, resolution)
    shift = setup.training.step_size(0, width) * neurons.a
    mean, _ = conditional.reused(
        activation, stats, shift, frame.gamma, frame.grid.nodes, resolution.hidden, resolution.neuron
    )
    kept = frame.weight > NEGLIGIBLE
    root = np.sqrt(frame.weight[kept] / frame.weight[kept].sum())
    G = stats.tau * np.broadcast_to(frame.gamma[:, None, None], frame.label.shape)[kept]
    z, label = frame.z[kept], frame.label[kept]
    own = (G + stats.phi * label - stats.c1 * z) / stats.perpendicular
    across = np.stack([z, own]) / math.sqrt(dimension)
    functions = np.vstack([frame.grid.interpolate(mean)[:, kept], across, np.ones_like(z)]) * root
    curved = operator.curvature / math.sqrt(2 * dimension)
    gram = functions @ functions.T
    gram[: curved.size, : curved.size] += np.multiply.outer(curved, curved)
    scale = math.sqrt(samples)
    found = Spiked(
        bulk=Bulk(neurons.weight, operator.linear, operator.residual, width / dimension, samples / dimension),
        gram=samples * gram,
        masses=layer_masses(neurons.weight, curved, len(across)),
        label=scale * (functions @ (root * label)),
        one=scale * (functions @ root),
        held=np.concatenate([operator.linear * neurons.a, np.zeros(len(across) + 1)]),
        holding=output_holding(setup, stats),
    )
    return checked(setup, found)
