"""Values outside the bulk that were not predicted, where nothing judges their number: found, and said in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rmtfl.compare import Comparison, RowResult

COUNT = "outliers observed"  # the quantity that counts values outside the bulk ...
AT_LEAST = f"{COUNT}, at least"  # ... where every value that a draw has kept is outside
BULK_EDGE = "bulk edge"  # the quantity that is the largest value of a bulk that is not judged
MISCOUNT = 0.5  # values outside the bulk, in the mean, that a number may be off before a reader is told
DEFORMED_STEPS = 2  # of training, that a deformed bulk is offered for


@dataclass(frozen=True)
class Miscount:
    """A number of values outside the bulk that is not the predicted one, in a row where it is not judged.

    Attributes:
        predicted: how many were predicted.
        observed: the mean over draws.
        at_least: whether a draw may have more of them than were kept.
        edge: of the predicted bulk.
        top: the mean of the largest value that no predicted outlier accounts for.
        draws: how many there are.
        rigid: whether the bulk is that of the untrained weights.
    """

    predicted: int
    observed: float
    at_least: bool
    edge: float | None
    top: float | None
    draws: int
    rigid: bool

    @property
    def excess(self) -> bool:
        """Whether there are more than predicted."""
        return self.observed > self.predicted

    @property
    def shown(self) -> tuple[str, str]:
        """The observed number and the predicted one, for a reader."""
        observed = f"{self.observed:.3g}{' or more' if self.at_least else ''}"
        return observed, f"{self.predicted} {'is' if self.predicted == 1 else 'are'} predicted"


def miscount(comparisons: Sequence[Comparison], *, rigid: bool) -> Miscount | None:
    """How the number of values outside the bulk of a row is off; None where it is not, or is judged.

    Args:
        comparisons: of the row.
        rigid: whether its bulk is that of the untrained weights.
    """
    named = {comparison.name: comparison for comparison in comparisons}
    count = named.get(AT_LEAST) or named.get(COUNT)
    if count is None or count.judged or count.mean is None or abs(count.mean - count.prediction) <= MISCOUNT:
        return None
    edge = named.get(BULK_EDGE)
    return Miscount(
        predicted=int(count.prediction),
        observed=count.mean,
        at_least=count.name == AT_LEAST,
        edge=edge.prediction if edge else None,
        top=edge.mean if edge else None,
        draws=count.trials,
        rigid=rigid,
    )


def caution(rows: Sequence[RowResult]) -> str | None:
    """That more values lie outside the bulk than predicted, in some row where nothing judges it, and what to try.

    Fewer are no news: an outlier that is not there, or near the edge, is judged by its location.
    """
    counted = [
        row for row in rows if any(c.name in (COUNT, AT_LEAST) and c.trials and not c.judged for c in row.comparisons)
    ]
    off = [(row, found) for row in counted if (found := row.miscount) is not None and found.excess]
    if not off:
        return None
    worst = max((found for _, found in off), key=lambda found: found.observed - found.predicted)
    observed, predicted = worst.shown
    if len(counted) == 1:
        values = "value" if observed == "1" else "values"
        text = f"not judged: {observed} {values} beyond the edge of the bulk where {predicted}"
        if worst.edge is not None and worst.top is not None:
            text += f", the first that is not predicted at {worst.top:.4g} (edge {worst.edge:.4g})"
    else:
        text = (
            f"not judged: in {len(off)} of {len(counted)} rows there are more values beyond the edge of the bulk "
            f"than predicted (at worst {observed} where {predicted})"
        )
    where = "there " if len(counted) > 1 else ""
    matrices = "these matrices" if len(counted) > 1 or worst.draws > 1 else "this matrix"
    text += f": {where}the {'rigid ' if worst.rigid else ''}bulk does not describe {matrices}"
    tried = any(row.row.inputs.get("theory.bulk") == "deformed" for row in rows)
    deformable = any(found.rigid and _steps(row) <= DEFORMED_STEPS for row, found in off)
    return f'{text}; try theory.bulk = "deformed"' if deformable and not tried else text


def _steps(result: RowResult) -> int:
    return len(result.row.inputs.get("training.alpha", ()))
