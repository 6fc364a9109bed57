"""The `[law]` table of a study file: which law, its parameters, and the points and spikes asked for.

The doubles of a table are the law's own: nothing is renormalised or rounded. Every family says which keys it
reads, and a key that it does not read is refused. Checked in tests/laws/test_predict.py.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

Family = Literal["generalized-marchenko-pastur", "marchenko-pastur", "semicircle"]

#: Which keys each family reads beside x, spikes and size.
READS: dict[str, tuple[str, ...]] = {
    "generalized-marchenko-pastur": ("ratio", "atoms", "weights"),
    "marchenko-pastur": ("ratio", "variance"),
    "semicircle": ("variance", "centre"),
}

#: Keys that a family cannot do without.
NEEDS: dict[str, tuple[str, ...]] = {
    "generalized-marchenko-pastur": ("ratio", "atoms", "weights"),
    "marchenko-pastur": ("ratio",),
    "semicircle": (),
}

#: A plot needs hundreds of points; a million take a second.
LARGEST_COUNT = 1_000_000


def double(value: object) -> float:
    """Return the double that a TOML number is; of a fraction such as '1/10', the nearest one."""
    accepted = "a finite number, or a fraction such as '1/10'"
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"expected {accepted}")
    try:
        number = float(Fraction(value)) if isinstance(value, str) else float(value)
    except (ValueError, ZeroDivisionError, OverflowError):
        raise ValueError(f"expected {accepted}") from None
    if not math.isfinite(number):
        raise ValueError(f"expected {accepted}")
    return number


def _points(value: object) -> object:
    if isinstance(value, bool) or (isinstance(value, int) and not 2 <= value <= LARGEST_COUNT):
        raise ValueError(f"expected a list of points, or a count from 2 to {LARGEST_COUNT}")
    if isinstance(value, float | str):
        raise ValueError(f"expected a list of points, or a count from 2 to {LARGEST_COUNT}")
    if isinstance(value, list | tuple) and not 0 < len(value) <= LARGEST_COUNT:
        raise ValueError(f"expected between 1 and {LARGEST_COUNT} points")
    return value


Double = Annotated[float, BeforeValidator(double)]


class LawTable(BaseModel):
    """One law, where its density is wanted, and its spikes.

    Attributes:
        family: `generalized-marchenko-pastur`, the eigenvalues of the p x p matrix Σ^{1/2} X X^T Σ^{1/2} /
            n with an atomic population; `marchenko-pastur`, the same with Σ = variance; `semicircle`, the
            eigenvalues of a Wigner matrix.
        ratio: p/n.
        atoms: Population eigenvalues.
        weights: Their masses, within 1e-12 of summing to 1.
        variance: Of the entries (Marchenko-Pastur) or of the law (semicircle); 1 unless given.
        centre: Mean of the semicircle; 0 unless given.
        x: Points, or how many, spread over the support's intervals.
        spikes: Population eigenvalues (for the semicircle: eigenvalues of the additive perturbation).
        size: Dimension p of a simulated matrix; a list is not offered: sweep it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    family: Family
    ratio: Double | None = None
    atoms: tuple[Double, ...] | None = None
    weights: tuple[Double, ...] | None = None
    variance: Double | None = None
    centre: Double | None = None
    x: Annotated[int | tuple[Double, ...], BeforeValidator(_points)] = 200
    spikes: tuple[Double, ...] = ()
    size: int = Field(default=400, ge=20, le=20_000)

    @model_validator(mode="after")
    def _keys_of_the_family(self) -> LawTable:
        if 2 * len(self.spikes) >= self.size:
            raise ValueError(f"{len(self.spikes)} spikes in a matrix of size {self.size}; expected fewer than half")
        parameters = ("ratio", "atoms", "weights", "variance", "centre")
        reads, needs = READS[self.family], NEEDS[self.family]
        for key in parameters:
            given = getattr(self, key) is not None
            if given and key not in reads:
                raise ValueError(f"key {key!r} is not read by family {self.family!r}, which reads {', '.join(reads)}")
            if not given and key in needs:
                raise ValueError(f"key {key!r} is missing: family {self.family!r} needs {', '.join(needs)}")
        return self
