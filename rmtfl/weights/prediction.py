"""What a prediction of the weights' singular values consists of, and its JSON.

Plain data: nothing is computed here. Numbers are floats, or decimal strings where more digits were asked for than a
float holds. Every number has the numerical error that belongs to it beside it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

Number = float | str


@dataclass(frozen=True)
class Bulk:
    """The bulk of the singular values: its edges, the typical top bulk singular value, and their numerical error."""

    lower: Number
    upper: Number
    top: Number
    error: Number = 0.0


@dataclass(frozen=True)
class Spike:
    """A singular value of the finite-rank part, with its numerical error."""

    strength: Number
    error: Number


@dataclass(frozen=True)
class Outlier:
    """A singular value outside the bulk, the squared overlap of its right vector with the target, their error."""

    location: Number
    alignment: Number
    error: Number


@dataclass(frozen=True)
class WeightsPrediction:
    """The singular values of the weights after the last step, at one width.

    Attributes:
        threshold: K, exact: ⌊α₂/(1/2 − α₁)⌋ for two steps.
        critical: whether the K-th strength stays of order one.
        generic_count: K + 1, the outliers when nothing vanishes; None with it.
        count: the outliers predicted at this width.
        bulk: edges of the bulk.
        spikes: singular values of the finite-rank part, descending.
        outliers: where they put singular values of the weights, descending.
        leading: the leading-order strengths at this width, descending; none for three and more steps.
        psi: N/d.
        step_sizes: s_t = η_t/√N, one a step.
        update_noise: the mean variance of the update's own noise beside that of the untrained weights.
        bulk_trusted: whether the bulk asked for takes that in, or it is small.
    """

    threshold: int | None
    critical: bool
    generic_count: int | None
    count: int
    bulk: Bulk
    spikes: tuple[Spike, ...]
    outliers: tuple[Outlier, ...]
    leading: tuple[float, ...]
    psi: float
    step_sizes: tuple[float, ...]
    update_noise: float
    bulk_trusted: bool

    def as_json(self) -> dict[str, Any]:
        """The document of `predict --json` for this row."""
        return {
            "threshold": self.threshold,
            "critical": self.critical,
            "generic_count": self.generic_count,
            "count": self.count,
            "bulk": asdict(self.bulk),
            "spikes": [asdict(spike) for spike in self.spikes],
            "outliers": [asdict(outlier) for outlier in self.outliers],
            "leading": list(self.leading),
            "update_noise": self.update_noise,
            "bulk_trusted": self.bulk_trusted,
        }


@dataclass(frozen=True)
class LimitSpike:
    """The k-th spike as N → ∞: strength ≃ constant · N^exponent.

    Attributes:
        k: the order in the first step, from 0.
        exponent: exact.
        constant: all scales included; 0 where the spike vanishes.
        error: numerical error of the constant.
        left: the power of the second layer in the left vector.
        vanishes: why the constant is 0, or None.
        kappa: overlap of the term's right vector with the target, E[z H_k].
        alignment: squared overlap of the outlier's right singular vector with the target as N → ∞; 0 in the bulk.
    """

    k: int
    exponent: Fraction
    constant: Number
    error: Number
    left: int
    vanishes: str | None
    kappa: Number
    alignment: Number

    def as_json(self) -> dict[str, Any]:
        """The spike as one entry of the document, its exponent as exact text."""
        return {**asdict(self), "exponent": str(self.exponent)}


@dataclass(frozen=True)
class LimitPrediction:
    """The spikes as N → ∞ in leading order, for k = 0 … K, and what is learned of the target.

    Attributes:
        threshold: K, exact.
        critical: whether the K-th strength stays of order one.
        generic_count: K + 1.
        count: the spikes that do not vanish and pass the threshold of the bulk.
        bulk: edges of the bulk.
        spikes: k = 0 … K in order.
        learning: the table of what each spike aligns with under either batch mode.
    """

    threshold: int
    critical: bool
    generic_count: int
    count: int
    bulk: Bulk
    spikes: tuple[LimitSpike, ...]
    learning: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """The document of `predict --json` for this row."""
        return {
            "threshold": self.threshold,
            "critical": self.critical,
            "generic_count": self.generic_count,
            "count": self.count,
            "bulk": asdict(self.bulk),
            "spikes": [spike.as_json() for spike in self.spikes],
            "learning": self.learning,
        }
