"""The deformed prediction after two steps, case by case, against what is asked of it, from the studies' stores.

Prints the table that lies beside it. A location holds if its gap to the simulated mean is within two standard errors
and an allowance: 1.5 % for the first outlier, 3 % for the second and for the top of the bulk; the bulk if its
Kolmogorov distance to its law is below 0.01. That of this many values of noise is 0.0045 on average.

    python validation/deformed/summary.py FOLDER-OF-STORES
"""

from __future__ import annotations

import sys
from pathlib import Path

from rmtfl.compare import Comparison, RowResult
from rmtfl.study import read
from rmtfl.workflow import recorded

HERE = Path(__file__).parent
ALLOWED = {"outlier 1": 1.5, "outlier 2": 3.0, "top of the bulk": 3.0}  # percent
DISTANCE = 0.01
STUDIES = ("two-steps-reused", "two-steps-independent", "more-draws")


def location(found: Comparison | None, allowed: float) -> tuple[str, bool]:
    """The gap in percent, beside what is allowed, and whether it holds."""
    if found is None or found.relative_gap is None or found.standard_error is None or found.mean is None:
        return "", True
    gap, limit = 100 * found.relative_gap, 200 * found.standard_error / abs(found.mean) + allowed
    return f"{gap:+.1f} ({limit:.1f})", abs(gap) <= limit


def case(result: RowResult) -> str:
    """One line of the table."""
    setup, width = result.row.setup, int(result.row.setup.sizes.width)
    steps = ", ".join(f"{setup.training.step_size(t, width):.3g}" for t in range(setup.training.steps))
    named = {found.name: found for found in result.comparisons}
    shown, holds = zip(*(location(named.get(name), allowed) for name, allowed in ALLOWED.items()), strict=True)
    (distance,) = (found.numbers["distance"] for found in result.findings if found.name == "bulk to deformed law")
    missed = [name for name, held in zip(ALLOWED, holds, strict=True) if not held]
    missed += [] if distance < DISTANCE else ["bulk"]
    cells = (
        setup.training.batches,
        f"`{setup.network.activation.text}`",
        f"`{setup.data.target.text}`",
        f"({steps})",
        str(max(found.trials for found in result.comparisons)),
        *shown,
        f"{distance:.4f}",
        "holds" if not missed else ", ".join(missed),
    )
    return f"| {' | '.join(cells)} |"


def main(stores: Path) -> None:
    """Print the table."""
    titles = ("batch", "activation", "target", "s", "draws", *ALLOWED, "Kolmogorov distance", "what does not hold")
    print(f"| {' | '.join(titles)} |")
    print("| --- | --- | --- | --- | --: | --: | --: | --: | --: | --- |")
    for name in STUDIES:
        results, _ = recorded(read(HERE / f"{name}.toml"), stores / f"deformed-{name}.sqlite")
        for result in results.rows:
            if result.row.setup.theory.bulk == "deformed":
                print(case(result), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
