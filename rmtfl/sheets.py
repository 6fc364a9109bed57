"""The tables of a study: every comparison with its verdict, and what is shown beside them.

Numbers are rounded to what the simulation can speak about: a prediction to the digits of the standard error beside it.
"""

from __future__ import annotations

from rmtfl.compare import FAMILY_LEVEL, Comparison, Results
from rmtfl.miscount import AT_LEAST
from rmtfl.tables import Column, Measured, Sheet, fixed, measured, plain

MOST_NAMES = 8  # of numbers that share one allowance, listed under a table
FEW_DIGITS = 4  # of a number beside a simulated one that has no scatter to round by


def comparison_sheet(results: Results) -> Sheet:
    """Every comparison of a study, a line each."""
    swept = results.rows[0].row.swept
    columns = (
        *(Column(name.partition(".")[2] or name) for name in swept),
        Column("quantity"),
        Column("predicted", numeric=True),
        Column("simulated", numeric=True, uncertain=True),
        Column("interval from", numeric=True, detail=True),
        Column("interval to", numeric=True, detail=True),
        Column("gap / %", numeric=True, spare=True),
        Column("z", numeric=True),
        Column("allowance", numeric=True, spare=True),
        Column("verdict"),
    )
    lines: list[tuple[str | Measured, ...]] = []
    reasons: dict[str, list[str]] = {}
    for result in results.rows:
        inputs = [plain(result.row.inputs[name]) for name in swept]
        for comparison in result.comparisons:
            lines.append((*inputs, *_line(comparison)))
            if comparison.verdict != "not judged":
                names = reasons.setdefault(comparison.allowance_reason, [])
                names += [] if comparison.name in names else [comparison.name]
    # One allowance for a whole learning curve is not worth a list of all its points.
    whole = len(reasons) == 1 and max(map(len, reasons.values())) > MOST_NAMES
    allowances = (
        f"allowance of {'every judged number' if whole else ', '.join(names)}: {reason}"
        for reason, names in reasons.items()
    )
    return Sheet(columns, tuple(lines), (*_verdict_notes(results), *allowances), results.title)


def diagnostics_sheet(results: Results) -> Sheet:
    """What is shown of every simulated row beside its comparisons, a line each, and of the study in notes."""
    swept = results.rows[0].row.swept
    simulated = [result for result in results.rows if result.findings]
    names = list(dict.fromkeys(finding.name for result in simulated for finding in result.findings))
    lines = []
    for result in simulated:
        texts = {finding.name: finding.text for finding in result.findings}
        lines.append((*(plain(result.row.inputs[name]) for name in swept), *(texts.get(name, "") for name in names)))
    columns = (*(Column(name.partition(".")[2] or name) for name in swept), *map(Column, names))
    return Sheet(columns, tuple(lines), tuple(finding.text for finding in results.findings), "Shown, not judged")


def _verdict_notes(results: Results) -> tuple[str, ...]:
    beside = [text for text in (results.caution, results.hint) if text]
    if not results.judged:
        simulated = any(comparison.trials for row in results.rows for comparison in row.comparisons)
        return ("; ".join(["nothing was judged", *beside]),) if simulated else ()
    failed = sum(comparison.verdict == "disagrees" for row in results.rows for comparison in row.comparisons)
    found = f"{failed} disagree" if failed else "all of these agree" if beside else "all agree"
    scatter, simulated_as = "a Student quantile of the standard error", "mean ± standard error"
    if results.one_draw:
        simulated_as, scatter = "one draw ± a bound on its scatter", "the normal quantile of that bound"
    if results.judged == 1:
        found = "it disagrees" if failed else "it agrees"
    numbers, together = ("1 number", "") if results.judged == 1 else (f"{results.judged} numbers", "together ")
    verdict = f"{numbers} judged {together}at the {FAMILY_LEVEL:.0%} level: {found}"
    return (
        "; ".join([verdict, *beside]),
        f"simulated is {simulated_as}; a number agrees when its gap is at most {scatter}, plus the allowance, plus the "
        "numerical error",
        *_kept(results),
    )


def _kept(results: Results) -> tuple[str, ...]:
    """What is not known of a count where every value that was kept is outside the bulk."""
    if not any(comparison.name == AT_LEAST for row in results.rows for comparison in row.comparisons):
        return ()
    return ("at least: all of the largest values that are kept of a draw are outside the bulk; there may be more",)


def _line(comparison: Comparison) -> tuple[str | Measured, ...]:
    standard_error = comparison.standard_error
    # Draws that do not scatter at all, such as shares of few eigenvalues, are known to what the theory is allowed.
    digits = standard_error or comparison.allowance
    relative = relative_digits = None
    if comparison.relative_gap is not None and comparison.mean:
        relative = 100 * comparison.relative_gap
        relative_digits = 100 * digits / abs(comparison.mean)
    prediction, simulated = comparison.prediction, comparison.mean
    if simulated is not None and not digits:
        prediction, simulated, relative = _few(prediction), _few(simulated), relative and _few(relative)
    # The prediction is shown to the digits that the simulation can speak about, if its own error allows them.
    predicted = measured(prediction, standard_error=digits, error=comparison.error)
    mean = measured(simulated, standard_error=digits)
    z_score = comparison.z_score
    return (
        comparison.name,
        Measured(predicted.value),
        mean if standard_error else Measured(mean.value),
        *(Measured(measured(end, standard_error=digits).value) for end in comparison.interval or (None, None)),
        Measured(measured(relative, standard_error=relative_digits).value),
        Measured("" if z_score is None else fixed(z_score, 1)),
        Measured(measured(comparison.allowance or None, standard_error=digits).value),
        comparison.verdict if comparison.judged else "shown",
    )


def _few(value: float) -> float:
    return float(f"{value:.{FEW_DIGITS}g}")
