"""What is shown of a row of weights beside its verdict: counts of outliers, the bulk against its law, rates in N.

None of it is judged: the rigid bulk leaves out what the update's own noise does to the edge, and a rate is a statement
about N to infinity. The numbers say how far that matters at the size at hand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmtfl.compare import Comparison, Finding, RowResult
from rmtfl.setup import Setup
from rmtfl.statistics import binomial_interval, fit_power_law, kolmogorov_distance, noise_distance, top_of_noise
from rmtfl.weights.bulk import bulk_law, rigid_law
from rmtfl.weights.compare import count_edge, rank

Draws = Mapping[str, NDArray[np.float64]]

LEAST_WIDTHS = 3  # for a rate: two parameters, and one width to contradict them


def diagnostics(setup: Setup, prediction: Mapping[str, Any], trials: Draws) -> Iterator[Finding]:
    """The counts of outliers, the scale of the edge, and the distance of the bulk to its law, in one row.

    Args:
        setup: the row, with a width.
        prediction: its document.
        trials: as `rmtfl.weights.compare.quantities` is given them; not empty.
    """
    yield from _counts(setup, prediction, trials)
    noise, edge = top_of_noise(int(setup.sizes.width), setup.sizes.dimension), count_edge(setup, prediction)
    above = (edge - noise.mean) / noise.sd
    yield Finding(
        "top of noise",
        f"largest value {noise.mean:.4f} ± {noise.sd:.4f}; outliers are counted above {edge:.4f}",
        {**asdict(noise), "counted_above": edge, "counted_above_in_sd": above},
    )
    yield from _bulk(setup, prediction, trials)


def _counts(setup: Setup, prediction: Mapping[str, Any], trials: Draws) -> Iterator[Finding]:
    edge, predicted = count_edge(setup, prediction), int(prediction["count"])
    values = np.asarray(trials["singular_values"])
    observed = (values > edge).sum(axis=1).tolist()
    whole = values.shape[1] == rank(setup)

    def shown(count: int) -> str:
        return f"{count}" if whole or count < values.shape[1] else f"{count} or more"

    table = sorted(Counter(observed).items())
    matching, draws = observed.count(predicted), len(observed)
    lower, upper = binomial_interval(matching, draws)
    yield Finding("outliers predicted", str(predicted), {"count": predicted})
    yield Finding(
        "observed × draws",
        ", ".join(f"{shown(count)} × {number}" for count, number in table),
        {"counts": [{"outliers": shown(count), "draws": number} for count, number in table]},
    )
    yield Finding(
        "draws as predicted, 95%",
        f"{matching} of {draws}, {lower:.1%} to {upper:.1%}",
        {"draws": matching, "of": draws, "interval": [lower, upper]},
    )


def _bulk(setup: Setup, prediction: Mapping[str, Any], trials: Draws) -> Iterator[Finding]:
    spectra = np.asarray(trials.get("spectrum", np.empty((0, 0))))
    inside = spectra[:, len(prediction["outliers"]) :]
    if not inside.size:
        return
    laws = {"bulk to law of W0": rigid_law(setup)}
    if setup.theory.bulk == "deformed":
        laws["bulk to deformed law"] = bulk_law(setup, prediction)
    for name, law in laws.items():
        with np.errstate(over="ignore"):  # of values so large that their squares are infinite
            distance = float(np.mean([kolmogorov_distance(spectrum, law.cdf) for spectrum in inside]))
        yield Finding(name, f"{distance:.4f}", {"distance": distance, "spectra": len(inside)})
    noise = noise_distance(rank(setup))
    yield Finding("noise to its law", f"{noise.mean:.4f}, 95% below {noise.quantile:.4f}", asdict(noise))


def _rank(setup: Setup) -> int:
    return min(int(setup.sizes.width), setup.sizes.dimension)


def rates(rows: Sequence[RowResult]) -> Iterator[Finding]:
    """How the relative gap of the first outlier falls with the width, for each setting swept over three or more.

    Claimed: N^(-1/2) for the resummed prediction, the size of a matrix's own fluctuations, and N^(α₁ - 1/2) for the
    leading order, which drops terms of relative size s₁ = η₁ N^(α₁ - 1/2).
    """
    settings: dict[str, list[RowResult]] = {}
    for row in rows:
        if "width" in row.row.swept and row.row.inputs["width"] != "limit":
            swept = (f"{name.partition('.')[2]} = {row.row.inputs[name]}" for name in row.row.swept if name != "width")
            settings.setdefault(", ".join(swept), []).append(row)
    for setting, group in settings.items():
        setup = group[0].row.setup
        first = float(setup.training.alpha[0]) if setup.training.steps > 1 else 0.0
        resummed = setup.theory.order != "leading"
        claims = [("outlier 1", 0.5 if resummed else 0.5 - first)]
        if resummed and first:
            claims.append(("outlier 1, leading order", 0.5 - first))
        for name, claimed in claims:
            yield from _rate(setting, name, claimed, group)


def _rate(setting: str, name: str, claimed: float, group: Sequence[RowResult]) -> Iterator[Finding]:
    measured = [(row, found) for row in group for found in row.comparisons if found.name == name and _usable(found)]
    if len({row.row.inputs["width"] for row, _ in measured}) < LEAST_WIDTHS:
        return
    widths = [int(row.row.inputs["width"]) for row, _ in measured]
    gaps = [float(found.relative_gap or 0.0) for _, found in measured]
    # The relative gap is prediction / mean - 1.
    errors = [
        abs(found.prediction) * float(found.standard_error or 0) / float(found.mean or 1) ** 2 for _, found in measured
    ]
    fit = fit_power_law(widths, gaps, errors, sum(found.trials for _, found in measured))
    finding = fit.against(claimed)
    best = "no gap resolved" if fit.rate is None else f"falls as N^({-fit.rate:.2f})"
    place = f"{setting}: " if setting else ""
    yield Finding(
        f"rate of {name}",
        f"{place}gap of {name}: {best}, rate {_range(fit.lower, fit.upper)} at 95%; "
        f"claimed at most N^({-claimed:g}): {finding}",
        {"setting": setting, **asdict(fit), "claimed": claimed, "finding": finding},
    )


def _usable(found: Comparison) -> bool:
    return bool(found.standard_error) and found.relative_gap is not None


def _range(lower: float | None, upper: float | None) -> str:
    if lower is None and upper is None:
        return "undetermined"
    if lower is None:
        return f"below {upper:.2f}"
    return f"above {lower:.2f}" if upper is None else f"{lower:.2f} to {upper:.2f}"
