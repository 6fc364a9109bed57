"""What each spike learns of the target, under either batch mode (theory/two-step.md, `two-step.learning`).

The overlap of the k-th right vector with the target is κ_k = E[z H_k]. Independent batches with c₁ = 0 leave G
independent of z, and every κ_k is 0: a direction needs information exponent 1. A reused batch puts powers of the label
into H_k, so that κ_k is not 0 as soon as one of them correlates with z; an even target is never learned this way.
"""

from __future__ import annotations

from typing import Any

from rmtfl.gaussian import hermite_coefficient
from rmtfl.setup import Setup
from rmtfl.weights import kinked
from rmtfl.weights.leading import terms
from rmtfl.weights.moments import Moments
from rmtfl.weights.threshold import Threshold

DEEPEST = 5  # orders searched for the first that learns the target
HIGHEST_HERMITE = 12  # of the target, searched for its information exponent
ZERO = 1e-12  # relative size below which a sum of products of moments cannot be told from zero


def learning(setup: Setup, found: Threshold) -> dict[str, Any]:
    """For either batch mode: κ_k, the least k that learns the target, and the exponents where it survives."""
    table: dict[str, Any] = {"information_exponent": information_exponent(setup)}
    for batches in ("independent", "reused"):
        overlaps = kappas(setup, batches, max(found.generic_count, DEEPEST if setup.training.steps == 2 else 1))
        smallest = next((k for k, kappa in enumerate(overlaps) if kappa != 0), None)
        table[batches] = {
            "kappa": overlaps[: found.generic_count],
            "smallest_k": smallest,
            "region": _region(smallest),
            "learned_here": smallest is not None and smallest <= found.threshold,
        }
    return table


def _region(smallest: int | None) -> str | None:
    if smallest is None:
        return None
    return "all alpha" if smallest == 0 else f"alpha_2 >= {smallest} (1/2 - alpha_1)"


def information_exponent(setup: Setup) -> int | None:
    """The order of the target's first Hermite coefficient that is not zero, from 1; None if none was found."""
    for order in range(1, HIGHEST_HERMITE + 1):
        found = hermite_coefficient(setup.data.target, order)
        if abs(found.value) > 16 * found.error + ZERO:
            return order
    return None


def kappas(setup: Setup, batches: str, count: int) -> list[float]:
    """κ_k = E[z H_k] for k < count; exactly 0 where it is so to within its error or by the target's symmetry."""
    if setup.data.target.parity == 1:
        return [0.0] * count
    if batches == "reused" and setup.network.activation.kinks and count > 1:
        return kinked.kappas(setup, count)
    moments = Moments(setup)
    expanded = terms(moments, count, batches == "reused", (moments.number(0), moments.number(1)))
    return [float(t.kappa) if abs(t.kappa) > ZERO * max(1.0, t.norm**0.5) else 0.0 for t in expanded]
