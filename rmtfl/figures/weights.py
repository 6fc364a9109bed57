"""Pictures of weights studies: bulks and outliers, gaps against the width, and counts over the exponents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, ScalarFormatter

from rmtfl.compare import Results, RowResult
from rmtfl.errors import BadInput
from rmtfl.figures.page import (
    BINS,
    BULK,
    LEADING,
    LINES,
    MARKERS,
    MOST_DRAWS,
    NOTHING,
    PAGES,
    PREDICTED,
    SIMULATED,
    STYLE,
    PageName,
    Trials,
)
from rmtfl.figures.phases import draw_counts, draw_phases, swept_exponents
from rmtfl.tables import plain
from rmtfl.weights.bulk import bulk_law

BELOW_HEIGHT = 2.9  # of the convergence panel and the phase diagram
BULK_SHOWN = 3  # singular values of the bulk drawn beside the outliers
MARGIN = 0.15  # of the bulk's width, shown beyond its edge at least ...
FARTHEST = 1.5  # ... and at most, where singular values lie beyond it that no predicted outlier accounts for


def weights_figure(results: Results, trials: Sequence[Trials], page: PageName = "screen") -> Figure:
    """Spectra of the weights, and what the study sweeps: convergence in N, or the phase diagram.

    Args:
        results: the judged rows.
        trials: for each row its draws, arrays (trials, ...) by name; empty where nothing was simulated.
        page: where it is shown.
    """
    shown = PAGES[page]
    simulated = [(row, draws) for row, draws in zip(results.rows, trials, strict=True) if draws]
    converging = _convergence_series([row for row, _ in simulated])
    exponents = swept_exponents(results)
    panels = _largest_widths(simulated)
    # The phase diagram says what many spectra of different exponents would.
    panels = [] if exponents and len(panels) > shown.most_panels else panels[: shown.most_panels]
    heights = [shown.panel_height] * len(panels) + [BELOW_HEIGHT] * (bool(converging) + bool(exponents))
    if not heights:
        raise BadInput(NOTHING)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(shown.width, sum(heights) + 0.3), dpi=shown.dpi, layout="constrained")
        parts = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
        for part, (row, draws) in zip(parts, panels, strict=False):
            bulk, outliers = part.subplots(1, 2, width_ratios=(1, 1.6)) if shown.side_by_side else part.subplots(2, 1)
            _spectrum_panel(bulk, outliers, row, draws)
            part.suptitle(_panel_title(row), x=0.01, ha="left", fontsize=8)
        if converging:
            _convergence_panel(parts[len(panels)].subplots(), converging, 2 if shown.side_by_side else 1)
        if exponents:
            axes = parts[-1].subplots()
            draw_phases(axes, legend_below=not shown.side_by_side)
            draw_counts(axes, exponents)
        if panels:
            expanded = any(_shown(row, "leading order") for row, _ in panels)
            figure.legend(
                handles=_legend(expanded), loc="outside upper right", ncols=shown.legend_columns, frameon=False
            )
    return figure


def _legend(expanded: bool) -> list[Artist]:
    """The marks of the panels; that of the leading order if any panel has one."""
    leading = Line2D([], [], color=LEADING, linewidth=1.3, linestyle=":", label="leading order")
    return [
        Line2D([], [], color=SIMULATED, marker="o", markersize=3, linewidth=0, label="simulated, a row for each draw"),
        Line2D([], [], color=PREDICTED, linewidth=1.3, label="predicted"),
        *([leading] if expanded else []),
        Patch(color=BULK, alpha=0.5, linewidth=0, label="bulk"),
    ]


def _panel_title(result: RowResult) -> str:
    return ", ".join(part for part in (f"N = {result.row.setup.sizes.width}", _setting(result)) if part)


def _largest_widths(rows: list[tuple[RowResult, Trials]]) -> list[tuple[RowResult, Trials]]:
    """One row for each setting, that of the largest width."""
    best: dict[str, tuple[RowResult, Trials]] = {}
    for row, draws in rows:
        setting = _setting(row)
        if setting not in best or row.row.inputs["width"] > best[setting][0].row.inputs["width"]:
            best[setting] = (row, draws)
    return list(best.values())


def _setting(result: RowResult) -> str:
    """The swept inputs but the width."""
    inputs = result.row.inputs
    return ", ".join(f"{_symbol(name)} = {plain(inputs[name])}" for name in result.row.swept if name != "width")


def _symbol(name: str) -> str:
    """A dotted key as a reader of figures knows it."""
    symbols = {
        "training.alpha.0": "α₁",
        "training.alpha.1": "α₂",
        "sizes.width_ratio": "N/d",
        "sizes.sample_ratio": "n/d",
    }
    return symbols.get(name, name.partition(".")[2].replace("_", " "))


def _spectrum_panel(bulk: Axes, outliers: Axes, result: RowResult, draws: Trials) -> None:
    setup, prediction = result.row.setup, result.prediction
    lower, upper = float(prediction["bulk"]["lower"]), float(prediction["bulk"]["upper"])
    reach = upper + MARGIN * (upper - lower)
    if "spectrum" in draws:
        values, unpredicted = draws["spectrum"].ravel(), draws["spectrum"][:, len(prediction["outliers"]) :].ravel()
        farthest = float(unpredicted.max(initial=upper)) + 0.05 * (upper - lower)
        reach = max(reach, min(farthest, upper + FARTHEST * (upper - lower)))
        inside = values[values <= reach]
        if beyond := int((unpredicted > reach).sum()):
            each = beyond / len(draws["spectrum"])
            bulk.text(
                0.98, 0.95, f"{each:.3g} a draw beyond", transform=bulk.transAxes, ha="right", va="top", fontsize=6
            )
        start = min(lower, float(inside.min(initial=lower)))
        weights = np.full(len(inside), BINS / (len(values) * (reach - start)))
        bulk.hist(inside, bins=BINS, range=(start, reach), weights=weights, color=SIMULATED, alpha=0.35)
    x = np.linspace(lower, upper, 801)[1:-1]
    bulk.plot(x, bulk_law(setup, prediction).density(x), color=PREDICTED, linewidth=1.2)
    bulk.set(xlim=(max(0, lower - 0.1 * (upper - lower)), reach), xlabel="singular value", ylabel="density")

    shown = len(prediction["outliers"]) + BULK_SHOWN
    drawn = draws["singular_values"][:MOST_DRAWS, :shown]
    first = (
        f", first {len(drawn)} of {len(draws['singular_values'])}" if len(draws["singular_values"]) > len(drawn) else ""
    )
    for index, top in enumerate(drawn, 1):
        outliers.plot(top, np.full(len(top), index), "o", color=SIMULATED, markersize=3, alpha=0.7, linewidth=0)
    outliers.axvspan(lower, upper, color=BULK, alpha=0.5, linewidth=0)
    for outlier in prediction["outliers"]:
        outliers.axvline(float(outlier["location"]), color=PREDICTED, linewidth=1.3)
    for location in _shown(result, "leading order"):
        outliers.axvline(location, color=LEADING, linestyle=":", linewidth=1.3)
    outliers.set(
        xscale="log",
        xlabel=f"{drawn.shape[1]} largest singular values (log scale)",
        ylabel=f"draw{first}",
        ylim=(0.3, len(drawn) + 0.7),
    )
    outliers.set_xlim(left=max(0.55 * upper, lower))
    outliers.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=5, min_n_ticks=1))
    _plain_log(outliers)


def _shown(result: RowResult, words: str) -> list[float]:
    return [comparison.prediction for comparison in result.comparisons if comparison.name.endswith(words)]


def _plain_log(axes: Axes) -> None:
    """Ticks 1, 2, 5, 10, ... in plain digits, and evenly spaced ones where there would be fewer than three of these."""
    locator = LogLocator(subs=(1, 2, 5))
    low, high = axes.get_xlim()
    few = sum(low <= tick <= high for tick in locator.tick_values(low, high)) < 3
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10]) if few else locator)
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())


def _convergence_series(rows: Sequence[RowResult]) -> dict[str, list[RowResult]]:
    """Rows of at least two widths, grouped by everything else, ascending in width."""
    groups: dict[str, list[RowResult]] = {}
    for row in rows:
        if "width" in row.row.swept and any(c.name == "outlier 1" and c.mean for c in row.comparisons):
            groups.setdefault(_setting(row), []).append(row)
    ordered = {name: sorted(group, key=lambda r: int(r.row.inputs["width"])) for name, group in groups.items()}
    return {name: group for name, group in ordered.items() if len(group) > 1}


def _convergence_panel(axes: Axes, series: Mapping[str, list[RowResult]], legend_columns: int) -> None:
    for index, (name, rows) in enumerate(series.items()):
        marker = MARKERS[index % len(MARKERS)]
        for words, quantity, color in (
            ("predicted", "outlier 1", PREDICTED),
            ("leading order", "outlier 1, leading order", LEADING),
        ):
            found = [(r.row.inputs["width"], c) for r in rows for c in r.comparisons if c.name == quantity and c.mean]
            if not found:
                continue
            widths = [width for width, _ in found]
            gaps = [100 * abs(c.relative_gap or 0) for _, c in found]
            bars = [100 * (c.standard_error or 0) / abs(c.mean or 1) for _, c in found]
            label = f"{words}{', ' + name if name else ''}"
            axes.errorbar(
                widths,
                gaps,
                yerr=bars,
                color=color,
                marker=marker,
                markersize=5,
                markerfacecolor=color if index == 0 else "white",
                linewidth=1,
                linestyle=LINES[index % len(LINES)],
                capsize=2,
                label=label,
            )
    axes.set(
        xscale="log",
        xlabel="width N",
        ylabel="largest outlier: |gap| / simulated (%)",
        title="Distance to the simulated mean",
    )
    axes.set_ylim(bottom=0)
    widths = sorted({r.row.inputs["width"] for rows in series.values() for r in rows})
    axes.set_xticks(widths, [str(width) for width in widths])
    axes.minorticks_off()
    axes.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.22), ncols=legend_columns)
