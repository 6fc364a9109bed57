"""Verdicts: a predicted number beside a simulated mean, and whether they agree.

A judged comparison agrees when

    |prediction - mean| <= t · standard error + allowance + numerical error,

with t the two-sided Student quantile, for the number of trials at hand, of a level that is the family level divided by
the number of judged comparisons in the study (Bonferroni): on correct theory a whole study is then found to disagree
with probability at most the family level, whatever the dependence between its numbers. The allowance is what the theory
itself leaves out at finite size; it is a number of its own, stated in words beside it, and never mixed with statistics.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from rmtfl.miscount import AT_LEAST, COUNT, Miscount, caution, miscount
from rmtfl.study import SCHEMA, Row, Study

FAMILY_LEVEL = 0.05  # probability that a study on correct theory is found to disagree anywhere

Verdict = Literal["agrees", "disagrees", "not judged"]


@dataclass(frozen=True)
class Quantity:
    """One predicted number, and the simulated sample of it.

    Attributes:
        name: what it is, for tables.
        prediction: the predicted number.
        error: its numerical error, absolute.
        sample: one simulated number a trial.
        allowance: how far the theory may be off at this size, absolute.
        reason: the allowance in words.
        judged: whether it counts towards the verdict.
        spread: the standard deviation of one draw, where it is known better than from the sample.
    """

    name: str
    prediction: float
    error: float = 0.0
    sample: tuple[float, ...] = ()
    allowance: float = 0.0
    reason: str = ""
    judged: bool = False
    spread: float | None = None

    @property
    def standard_error(self) -> float | None:
        """Standard error of the sample mean; None where the sample cannot tell."""
        n = len(self.sample)
        if self.spread is not None and n:
            return self.spread / math.sqrt(n)
        if n < 2:
            return None
        mean = math.fsum(self.sample) / n
        return math.sqrt(math.fsum((x - mean) ** 2 for x in self.sample) / (n - 1) / n)

    @property
    def judgeable(self) -> bool:
        """Whether it is judged and the sample is large enough for it."""
        return self.judged and self.standard_error is not None


@dataclass(frozen=True)
class Finding:
    """Something shown of a row or a study, and never judged.

    Attributes:
        name: what it is, for the head of a column.
        text: for a reader.
        numbers: the same for a program.
    """

    name: str
    text: str
    numbers: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """The numbers beside their name."""
        return {"name": self.name, **self.numbers}


@dataclass(frozen=True)
class Comparison:
    """A predicted number beside a simulated one; None where there is nothing to say.

    Attributes:
        name: what is compared.
        prediction: the predicted number.
        error: its numerical error.
        trials: the number of draws.
        mean: their mean.
        standard_error: of the mean.
        interval: of the mean, at the level of the verdict: mean ± quantile · standard error.
        gap: prediction minus mean.
        relative_gap: gap over the absolute value of the mean.
        z_score: gap over standard error.
        allowance: the finite-size allowance, absolute.
        allowance_reason: the same in words.
        margin: the largest |gap| that agrees.
        judged: whether it counts.
        verdict: 'agrees', 'disagrees' or 'not judged'.
    """

    name: str
    prediction: float
    error: float
    trials: int
    mean: float | None
    standard_error: float | None
    interval: tuple[float, float] | None
    gap: float | None
    relative_gap: float | None
    z_score: float | None
    allowance: float
    allowance_reason: str
    margin: float | None
    judged: bool
    verdict: Verdict


@dataclass(frozen=True)
class RowResult:
    """One row of a study: its inputs, its prediction and what came of comparing it.

    Attributes:
        row: the setting.
        prediction: its document.
        comparisons: number by number.
        findings: what is shown beside them.
    """

    row: Row
    prediction: Mapping[str, Any]
    comparisons: tuple[Comparison, ...]
    findings: tuple[Finding, ...] = ()

    @property
    def miscount(self) -> Miscount | None:
        """How the number of values outside the bulk is off, where it is and nothing judges it."""
        return miscount(self.comparisons, rigid=self.row.inputs.get("theory.bulk") == "rigid")

    @property
    def verdict(self) -> Verdict:
        """Of the whole row."""
        verdicts = {comparison.verdict for comparison in self.comparisons}
        if "disagrees" in verdicts:
            return "disagrees"
        return "agrees" if "agrees" in verdicts else "not judged"


@dataclass(frozen=True)
class Results:
    """A study's rows, judged together.

    Attributes:
        title: of the study.
        observable: of the study.
        rows: in study order.
        judged: the number of judged comparisons, which the family level is divided by.
        findings: what is shown of the study as a whole.
        device: the kind that the trials ran on, where a store says so.
        hint: what a user's own spectrum looks like, where that is not what it was taken for.
    """

    title: str
    observable: str
    rows: tuple[RowResult, ...]
    judged: int
    findings: tuple[Finding, ...] = ()
    device: str | None = None
    hint: str | None = None

    @property
    def agree(self) -> bool:
        """Whether no judged comparison disagrees."""
        return all(row.verdict != "disagrees" for row in self.rows)

    @property
    def one_draw(self) -> bool:
        """Whether every judged number is of a single draw."""
        return bool(self._judged) and all(comparison.trials == 1 for comparison in self._judged)

    @property
    def largest_margin(self) -> float | None:
        """The largest gap that agrees, relative to its prediction; None where nothing but a count is judged."""
        places = [c for c in self._judged if c.prediction and c.name not in (COUNT, AT_LEAST)]
        return max(((c.margin or 0.0) / abs(c.prediction) for c in places), default=None)

    @property
    def _judged(self) -> list[Comparison]:
        return [c for row in self.rows for c in row.comparisons if c.verdict != "not judged"]

    @property
    def caution(self) -> str | None:
        """What a reader must know beside the verdict, of more values outside the bulk than predicted."""
        return caution(self.rows)

    def as_json(self) -> dict[str, Any]:
        """The document of `validate --json`."""
        return {
            "schema": SCHEMA,
            "observable": self.observable,
            "title": self.title,
            "agreement": self.agree,
            "judged": self.judged,
            "caution": self.caution,
            "hint": self.hint,
            "family_level": FAMILY_LEVEL,
            "device": self.device,
            "rows": [
                {
                    "inputs": dict(result.row.inputs),
                    "prediction": dict(result.prediction),
                    "verdict": result.verdict,
                    "miscount": asdict(result.miscount) if result.miscount else None,
                    "comparisons": [asdict(comparison) for comparison in result.comparisons],
                    "shown": [finding.as_json() for finding in result.findings],
                }
                for result in self.rows
            ],
            "shown": [finding.as_json() for finding in self.findings],
        }


def compare_rows(study: Study, rows: Sequence[tuple[Row, Mapping[str, Any], Mapping[str, Any]]]) -> Results:
    """Judge rows of one study together.

    Args:
        study: where the rows come from.
        rows: for each row, the row, its prediction's document and its trials: arrays (trials, ...) by name.
    """
    quantities = study.kind.function("quantities")
    gathered = [tuple(quantities(row.setup, prediction, trials)) for row, prediction, trials in rows]
    judged = sum(quantity.judgeable for row in gathered for quantity in row)
    offered = study.kind.offers
    diagnostics = study.kind.function("diagnostics") if offered("diagnostics") else None
    results = tuple(
        RowResult(
            row,
            prediction,
            tuple(judge(quantity, judged) for quantity in found),
            tuple(diagnostics(row.setup, prediction, trials)) if diagnostics and trials else (),
        )
        for (row, prediction, trials), found in zip(rows, gathered, strict=True)
    )
    findings = tuple(study.kind.function("rates")(results)) if offered("rates") else ()
    return Results(study.title, study.observable, results, judged, findings)


def judge(quantity: Quantity, judged: int = 1) -> Comparison:
    """Compare one quantity, at the family level divided by the number of judged comparisons."""
    n = len(quantity.sample)
    mean = math.fsum(quantity.sample) / n if n else None
    standard_error = quantity.standard_error
    gap = relative = z_score = margin = interval = None
    verdict: Verdict = "not judged"
    if mean is not None:
        gap = quantity.prediction - mean
        relative = gap / abs(mean) if mean else None
    if gap is not None and standard_error is not None:
        z_score = gap / standard_error if standard_error else None
        # A spread known beforehand is no estimate: its quantile is the normal one.
        quantile = student_quantile(judged, None if quantity.spread is not None else n - 1)
        reach = quantile * standard_error
        interval = (mean - reach, mean + reach) if mean is not None else None
        margin = reach + quantity.allowance + quantity.error
        if quantity.judged:
            verdict = "agrees" if abs(gap) <= margin else "disagrees"
    return Comparison(
        name=quantity.name,
        prediction=quantity.prediction,
        error=quantity.error,
        trials=n,
        mean=mean,
        standard_error=standard_error,
        interval=interval,
        gap=gap,
        relative_gap=relative,
        z_score=z_score,
        allowance=quantity.allowance,
        allowance_reason=quantity.reason,
        margin=margin,
        judged=quantity.judged,
        verdict=verdict,
    )


def student_quantile(judged: int, freedom: int | None) -> float:
    """The two-sided quantile at FAMILY_LEVEL / judged, normal where `freedom` is None."""
    from scipy import special

    tail = 1 - FAMILY_LEVEL / (2 * max(judged, 1))
    return float(special.ndtri(tail) if freedom is None else special.stdtrit(freedom, tail))
