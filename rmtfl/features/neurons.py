"""The neurons of a trained layer as a fresh sample sees them: mean rows and spreads, by second-layer weight.

Given its ā and the training data a neuron's row is w = m(ā) + w', w' of mean zero and independent from neuron to
neuron, so that its preactivation on a fresh sample x ~ N(0, I) is ⟨m(ā), x⟩ + ρ(ā) g with g ~ N(0, 1) and ρ² = E ‖w'‖².
After one step, with S = s₁ ā and b = X^T y/n (theory/features.md, `features.neurons`),

    m = S μ₁ b,    ρ² = (1 + S c₀ μ₂)² + S² φ m₂ Var σ',

the label noise being part of m₂ and the neuron-specific noise of the update the second term of ρ²; after two, see
`rmtfl.features.two_steps`. What is left out is that w' is not isotropic: the update's noise shares the Gram structure
of the data, which averages out but for O(s²).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rmtfl.features import two_steps
from rmtfl.setup import Setup
from rmtfl.weights.deformed import nodes
from rmtfl.weights.statistics import statistics

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Neurons:
    """Neurons by second-layer weight.

    Attributes:
        a: nodes in ā, shape (m,).
        weight: their masses, which sum to 1, shape (m,).
        mean: m(ā) in an orthonormal frame of input space whose first axis is the target direction, shape (m, D).
        spread: ρ(ā), shape (m,).
    """

    a: Array
    weight: Array
    mean: Array
    spread: Array


@dataclass(frozen=True)
class Accuracy:
    """How finely a trained layer is resolved.

    Attributes:
        growth: of merged runs of second-layer quantiles, as in `rmtfl.weights.deformed.nodes.ranks`.
        level: of the averages over the batches of two steps.
    """

    growth: float
    level: int


FINE = Accuracy(nodes.GROWTH, 0)
COARSE = Accuracy(nodes.COARSE, -1)


def trained(setup: Setup, accuracy: Accuracy = FINE) -> Neurons:
    """The layer after the setting's last step, its second-layer weights as the N quantiles of their law.

    Args:
        setup: at a width.
        accuracy: of what two steps need averages for; one step is exact.

    Raises:
        ToleranceNotMet: if the activation overflows doubles after the first step.
    """
    width = int(setup.sizes.width)
    a, weight = nodes.second_layer(setup.network.second_layer, width, accuracy.growth)
    stats = statistics(setup)
    if setup.training.steps == 2:
        mean, spread = two_steps.rows(setup, stats, a, accuracy.level)
        return Neurons(a, weight, mean, spread)
    S = setup.training.step_size(0, width) * a
    mean = np.multiply.outer(stats.mu1 * S, [stats.c1, stats.perpendicular])
    return Neurons(a, weight, mean, np.hypot(1 + S * stats.c0 * stats.mu2, S * stats.specific))
