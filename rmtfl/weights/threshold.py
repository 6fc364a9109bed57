"""How many spikes the steps leave, in exact arithmetic (theory/two-step.md, `two-step.threshold`).

The k-th term of the expansion in the first step has strength N^{α₂ − k(1/2 − α₁)}: those with k ≤ K = ⌊α₂/(1/2 − α₁)⌋
do not vanish, and an exactly integer ratio leaves the K-th at order one, where the threshold of the bulk decides. Of
more steps on independent batches each counts as a second one after the largest before it, and the strongest wins
(theory/many-steps.md, `many-steps.threshold`).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from rmtfl.errors import BadInput
from rmtfl.setup import HALF

LARGEST = 10_000  # spikes listed: α₁ within 1e-4 of 1/2


@dataclass(frozen=True)
class Threshold:
    """The exact count and what it rests on.

    Attributes:
        alpha: the step exponents.
        threshold: K; 0 for one step.
        critical: whether K ≥ 1 and the K-th strength is exactly of order one.
    """

    alpha: tuple[Fraction, ...]
    threshold: int
    critical: bool

    @property
    def generic_count(self) -> int:
        """K + 1: the spikes that do not vanish when every Hermite coefficient they need is there."""
        return self.threshold + 1

    def exponent(self, k: int) -> Fraction:
        """The exponent of the k-th strength: max(α) for k = 0, else the largest α_t − k(1/2 − max_{r<t} α_r)."""
        if k == 0:
            return max(self.alpha)
        return max(last - k * (HALF - before) for before, last in _pairs(self.alpha))

    def as_json(self) -> dict[str, Any]:
        """The document of `threshold --json`, without its schema number."""
        return {
            "threshold": self.threshold,
            "critical": self.critical,
            "generic_count": self.generic_count,
            "spikes": [
                {"k": k, "exponent": str(self.exponent(k)), "left": k + 1, "needs": self._needs(k)}
                for k in range(self.generic_count)
            ],
        }

    def _needs(self, k: int) -> str:
        if k == 0:
            return "mu_1 = E sigma'"
        independent = f"mu_{k + 1} = E He_{k + 1} sigma"
        if len(self.alpha) > 2:
            return independent
        return f"{independent} for independent batches; E[sigma^({k + 1}) sigma'^j], j <= {k}, for a reused one"


def threshold(*alpha: Fraction) -> Threshold:
    """The count for step exponents in [0, 1/2): any number of them, at most two of which may share a batch.

    Raises:
        BadInput: for an exponent outside [0, 1/2), or more spikes than could be listed.

    Examples:
        >>> found = threshold(Fraction(7, 20), Fraction(9, 20))
        >>> found.threshold, found.critical, found.generic_count
        (3, True, 4)
    """
    for position, value in enumerate(alpha):
        if not 0 <= value < HALF:
            hint = " (1/2 has a prediction at a width alone, with theory.bulk = 'deformed')" if value == HALF else ""
            raise BadInput(f"alpha of step {position + 1}: value {value}: expected a number in [0, 1/2){hint}")
    if len(alpha) == 1:
        return Threshold(alpha, 0, False)
    ratio, before = max((last / (HALF - before), before) for before, last in _pairs(alpha))
    count = ratio.numerator // ratio.denominator
    if count > LARGEST:
        where = alpha.index(before) + 1
        raise BadInput(f"alpha of step {where}: value {before}: gives {count} spikes; expected at most {LARGEST}")
    return Threshold(alpha, count, count >= 1 and ratio.denominator == 1)


def _pairs(alpha: tuple[Fraction, ...]) -> list[tuple[Fraction, Fraction]]:
    """For every step but the first, the largest exponent before it and its own."""
    return list(zip(itertools.accumulate(alpha, max), alpha[1:], strict=False))
