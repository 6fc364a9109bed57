"""The `[law]` table of a study file: which law, its parameters, and the points and spikes asked for.

The doubles of a table are the law's own: nothing is renormalised or rounded. Every family says which keys it
reads, and a key that it does not read is refused. Checked in tests/laws/test_predict.py.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from rmtfl.errors import KeyOfTable
from rmtfl.setup import LinkText

Simple = Literal["generalized-marchenko-pastur", "marchenko-pastur", "semicircle"]
Family = Literal[Simple, "free-sum", "free-product", "random-features", "variance-profile"]

#: Which keys each family needs, and which others it reads (beside x and size).
KEYS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "generalized-marchenko-pastur": (("ratio", "atoms", "weights"), ("spikes",)),
    "marchenko-pastur": (("ratio",), ("variance", "spikes")),
    "semicircle": ((), ("variance", "centre", "spikes")),
    "free-sum": (("first", "second"), ("spikes",)),
    "free-product": (("first", "second"), ("spikes",)),
    "random-features": (("activation", "width_ratio", "ratio"), ()),
    "variance-profile": (("ratio", "variances"), ("rows", "columns")),
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


def _positive(value: float) -> float:
    if value <= 0:
        raise ValueError("expected a positive number")
    return value


Double = Annotated[float, BeforeValidator(double)]
Positive = Annotated[Double, AfterValidator(_positive)]


def _check_keys(table: BaseModel) -> None:
    """Refuse keys that the table's family does not read, and the lack of one that it needs."""
    family = str(table.family)  # type: ignore[attr-defined]
    needs, optional = KEYS[family]
    reads = (*needs, *optional)
    for key in sorted({key for needed, others in KEYS.values() for key in (*needed, *others)}):
        given = getattr(table, key, None) not in (None, ())
        if given and key not in reads:
            others = f"only {', '.join(reads)}" if reads else "no key of its own"
            raise KeyOfTable(key, f"nothing reads it: expected {others} with family {family!r}")
        if not given and key in needs:
            raise KeyOfTable(key, f"is missing; expected {', '.join(needs)} with family {family!r}")


class Part(BaseModel):
    """One of the two laws of a free convolution.

    Attributes:
        family: One of the families that need no other law.
        ratio: As in `LawTable`, like all the rest.
        atoms: As there.
        weights: As there.
        variance: As there.
        centre: As there.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    family: Simple
    ratio: Positive | None = None
    atoms: tuple[Double, ...] | None = None
    weights: tuple[Double, ...] | None = None
    variance: Positive | None = None
    centre: Double | None = None

    @model_validator(mode="after")
    def _keys_of_the_family(self) -> Part:
        _check_keys(self)
        return self


class LawTable(BaseModel):
    """One law, where its density is wanted, and its spikes.

    Attributes:
        family: `generalized-marchenko-pastur`, the eigenvalues of the p x p matrix Σ^{1/2} X X^T Σ^{1/2} /
            n with an atomic population; `marchenko-pastur`, the same with Σ = variance; `semicircle`, the
            eigenvalues of a Wigner matrix; `free-sum`, those of A + U B U^T; `free-product`, those of
            A^{1/2} U B U^T A^{1/2}, U Haar orthogonal; `random-features`, those of the N x N matrix
            σ(W X) σ(W X)^T / n, W of shape N x d; `variance-profile`, those of the p x p matrix Y Y^T, the entries
            of Y independent, of variance s_ij/n in classes (i, j) of rows and columns.
        ratio: p/n; of random features N/n.
        atoms: Population eigenvalues.
        weights: Their masses, within 1e-12 of summing to 1.
        variance: Of the entries (Marchenko-Pastur) or of the law (semicircle); 1 unless given.
        centre: Mean of the semicircle; 0 unless given.
        first: The law of A.
        second: The law of B.
        activation: σ, an expression in x; it is centred and scaled to unit variance.
        width_ratio: N/d.
        variances: s_ij, one list a row class.
        rows: Shares of the row classes, within 1e-12 of summing to 1; equal ones unless given.
        columns: Likewise of the column classes.
        x: Points, or how many, spread over the support's intervals.
        spikes: Population eigenvalues (for the semicircle: eigenvalues of the additive perturbation; for free sums and
            products: of A, off the limit of its spectrum).
        size: Dimension p (of random features: N) of a simulated matrix; a list is not offered: sweep it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    family: Family
    ratio: Positive | None = None
    atoms: tuple[Double, ...] | None = None
    weights: tuple[Double, ...] | None = None
    variance: Positive | None = None
    centre: Double | None = None
    first: Part | None = None
    second: Part | None = None
    activation: LinkText | None = None
    width_ratio: Positive | None = None
    variances: tuple[tuple[Double, ...], ...] | None = None
    rows: tuple[Double, ...] | None = None
    columns: tuple[Double, ...] | None = None
    x: Annotated[int | tuple[Double, ...], BeforeValidator(_points)] = 200
    spikes: tuple[Double, ...] = ()
    size: int = Field(default=400, ge=20, le=20_000)

    @model_validator(mode="after")
    def _keys_of_the_family(self) -> LawTable:
        if 2 * len(self.spikes) >= self.size:
            raise ValueError(f"{len(self.spikes)} spikes in a matrix of size {self.size}; expected fewer than half")
        _check_keys(self)
        return self
