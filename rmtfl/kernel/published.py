"""The first-order formulas of arXiv 2605.17718 for relu, beside which the exact spectrum is set.

With λ₀, λ₂ the eigenvalues of degree 0 and 2 of the isotropic relu kernel at A = 1:

- linear modes (A + B)/(4d) along the target and A/(4d) across it: exact at every d and B;
- top eigenvalue λ̃ = A λ₀ + B/(2πd), top eigenfunction ∝ ‖x‖ (1 + τ Y₂) with
  τ = (1/d) √((2d − 2)/(d + 2)) · B/(4π (λ̃ − A λ₂)).

The exact first-order shift of the top eigenvalue is λ₀ B/d (theory/spiked-perturbation.md): <1, k₁ 1> = (A + B/d) λ₀.
Since λ₀ = 1/(2π) + O(1/d), the published one is the limit of large d, and is off by O(B/d²) beside the O(B²/d²) of
first order: both are offered, to be set beside the exact eigenvalue. τ has the same limit in its coupling: the exact
share of Y₂ is τ² (1 + 3/d + …) as B → 0. No prediction rests on them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from rmtfl.kernel.isotropic import isotropic_eigenvalues
from rmtfl.kernel.spectrum import SpikedKernel
from rmtfl.links import parse


@dataclass(frozen=True)
class FirstOrder:
    """The published approximation for relu.

    Attributes:
        along: the linear eigenvalue along the target.
        across: the linear eigenvalue across it.
        top: λ̃, as published.
        top_exact: (A + B/d) λ₀, whose error is O(B²/d²) at every d.
        tau: τ.
        share: τ²/(1 + τ²), the top eigenfunction's squared overlap with Y₂.
    """

    along: float
    across: float
    top: float
    top_exact: float
    tau: float
    share: float


def first_order(dimension: int, isotropic: float, spike: float) -> FirstOrder:
    """The published formulas at dimension d, A and B."""
    d = dimension
    kernel = SpikedKernel(parse("relu(x)"), d, 1.0, 0.0)
    constant, second = isotropic_eigenvalues(kernel, 0, 1)[0], isotropic_eigenvalues(kernel, 2, 1)[0]
    top = isotropic * constant + spike / (2 * math.pi * d)
    tau = math.sqrt((2 * d - 2) / (d + 2)) / d * spike / (4 * math.pi * (top - isotropic * second))
    return FirstOrder(
        along=(isotropic + spike) / (4 * d),
        across=isotropic / (4 * d),
        top=float(top),
        top_exact=float((isotropic + spike / d) * constant),
        tau=float(tau),
        share=float(tau**2 / (1 + tau**2)),
    )
