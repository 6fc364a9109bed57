"""The neurons of a trained layer as what a fresh sample sees of them: mean rows and spreads, by second-layer weight.

Given its ā and the training data a neuron's row is w = m(ā) + w', w' of mean zero and independent from neuron to
neuron, so that its preactivation on a fresh sample x ~ N(0, I) is ⟨m(ā), x⟩ + ρ(ā) g with g ~ N(0, 1) and
ρ² = E ‖w'‖² (theory/features.md, `features.neurons`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
