"""Outliers of a finite-rank perturbation of a matrix with iid entries: locations, overlaps, the threshold.

W = W₀ + P with W₀ of size N × d, entries iid N(0, 1/d), ψ = N/d. The bulk of singular values is [|1−√ψ|, 1+√ψ]. A
singular value θ of P gives an outlier iff θ > ψ^{1/4}, at √((1+θ²)(ψ+θ²))/θ (Benaych-Georges & Nadakuditi, arXiv
1103.2221, Theorem 2.8 and section 3.1, rescaled to variance 1/d; theory/two-step.md, `two-step.outliers`). W₀ is
bi-rotationally invariant, so nothing of P matters but its singular values and vectors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class RigidBulk:
    """The singular values of W₀: N × d with iid entries of variance 1/d, at ψ = N/d.

    Examples:
        >>> bulk = RigidBulk(psi=1.0)
        >>> bulk.upper, bulk.threshold, bulk.location(2.0)
        (2.0, 1.0, 2.5)
    """

    psi: float

    @property
    def lower(self) -> float:
        """The lower edge |1 − √ψ|."""
        return abs(1 - math.sqrt(self.psi))

    @property
    def upper(self) -> float:
        """The upper edge 1 + √ψ."""
        return 1 + math.sqrt(self.psi)

    @property
    def threshold(self) -> float:
        """ψ^{1/4}: a spike of at most this strength gives no outlier."""
        return math.sqrt(math.sqrt(self.psi))

    def location(self, strength: float) -> float:
        """Where the outlier of a spike above the threshold is."""
        square = strength * strength
        return math.sqrt((1 + square) * (self.psi + square)) / strength

    def location_slope(self, strength: float) -> float:
        """The derivative of the location in the strength: positive above the threshold, at most 1."""
        square = strength * strength
        return (square - self.psi / square) / math.sqrt((1 + square) * (self.psi + square))

    def right_overlap(self, strength: float) -> float:
        """The squared overlap of the outlier's right singular vector with the spike's."""
        square = strength * strength
        return 1 - (self.psi + square) / (square * (square + 1))

    def right_overlap_slope(self, strength: float) -> float:
        """The derivative of the right overlap in the strength."""
        square = strength * strength
        slope = (square * square + 2 * self.psi * square + self.psi) / (square * (square + 1)) ** 2
        return 2 * strength * slope

    def left_overlap(self, strength: float) -> float:
        """The squared overlap of the outlier's left singular vector with the spike's."""
        square = strength * strength
        return 1 - self.psi * (1 + square) / (square * (square + self.psi))
