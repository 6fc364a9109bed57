"""Pictures of feature-regression studies: test error against samples, a curve for each number of steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rmtfl.compare import Comparison, Results, RowResult
from rmtfl.errors import BadInput
from rmtfl.figures.page import (
    BULK,
    LEADING,
    LINES,
    MARKERS,
    NOTHING,
    PAGES,
    PREDICTED,
    SIMULATED,
    STYLE,
    Page,
    PageName,
    Trials,
)
from rmtfl.regression.compare import place_named
from rmtfl.tables import plain

COLOURS = (LEADING, PREDICTED, SIMULATED)  # after no step, one, two
HEIGHT = 2.3  # of a panel, in inches
MOST_HEIGHT = 9.0
MOST_COLUMNS = 3  # ridges side by side
ROOM = 1.6  # of the largest error without a step, above which a curve may leave the panel at its interpolation peak


def regression_figure(results: Results, trials: Sequence[Trials], page: PageName = "screen") -> Figure:
    """A panel for every row and ridge: predicted curves, simulated means with standard errors, and the noise floor.

    Args:
        results: the judged rows.
        trials: for each row its draws, arrays (trials, ...) by name; empty where nothing was simulated.
        page: where it is shown.
    """
    shown = PAGES[page]
    panels = [
        (row, ridge)
        for row, draws in zip(results.rows, trials, strict=True)
        if draws
        for ridge in dict.fromkeys(curve["ridge"] for curve in row.prediction["curves"])
    ]
    if not panels:
        raise BadInput(NOTHING)
    columns = min(MOST_COLUMNS, sum(row is panels[0][0] for row, _ in panels)) if shown.side_by_side else 1
    lines = min(-(-len(panels) // columns), int(MOST_HEIGHT / HEIGHT))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(shown.width, HEIGHT * lines + 0.5), dpi=shown.dpi, layout="constrained")
        axes = figure.subplots(lines, columns, squeeze=False)
        for place in axes.ravel()[len(panels) :]:
            place.set_axis_off()
        for place, (row, ridge) in zip(axes.ravel(), panels, strict=False):
            _panel(place, row, ridge)
        steps = max(curve["steps"] for row, _ in panels for curve in row.prediction["curves"])
        figure.legend(
            handles=_legend(steps, shown), loc="outside upper right", ncols=shown.legend_columns, frameon=False
        )
        figure.supylabel("test error on fresh noisy labels", fontsize=8)
    return figure


def _panel(axes: Axes, result: RowResult, ridge: float) -> None:
    prediction = result.prediction
    simulated = {comparison.name: comparison for comparison in result.comparisons}
    largest = 0.0
    for curve in (curve for curve in prediction["curves"] if curve["ridge"] == ridge):
        steps = curve["steps"]
        order = np.argsort(curve["sample_ratio"])
        ratios, mse = np.array(curve["sample_ratio"])[order], np.array(curve["mse"])[order]
        style: Any = {"color": COLOURS[steps % len(COLOURS)], "linestyle": LINES[steps % len(LINES)]}
        axes.plot(ratios, mse, linewidth=1.2, **style)
        seen = [(ratio, _of(simulated, curve, ratio)) for ratio in ratios.tolist()]
        drawn = [(ratio, found) for ratio, found in seen if found is not None and found.mean is not None]
        axes.errorbar(
            [ratio for ratio, _ in drawn],
            [found.mean or 0.0 for _, found in drawn],
            yerr=[found.standard_error or 0.0 for _, found in drawn],
            color=style["color"],
            marker=MARKERS[steps % len(MARKERS)],
            markersize=4,
            markerfacecolor="white",
            linewidth=0,
            elinewidth=1,
            capsize=2,
        )
        largest = max(largest, float(np.median(mse)))
    floor = prediction["noise_floor"]
    if floor:
        axes.axhline(floor, color=BULK, linewidth=1.0, linestyle=":")
    axes.set(xscale="log", xlabel="fresh samples / dimension")
    axes.set_ylim(0, ROOM * largest)
    axes.set_xticks(prediction["curves"][0]["sample_ratio"], minor=False)
    axes.set_xticklabels([f"{ratio:g}" for ratio in prediction["curves"][0]["sample_ratio"]], fontsize=6)
    axes.minorticks_off()
    axes.set_title(_title(result, ridge), loc="left", fontsize=7)


def _of(simulated: Mapping[str, Comparison], curve: Mapping[str, Any], ratio: float) -> Comparison | None:
    return simulated.get(f"mse, {place_named(curve['steps'], curve['ridge'], ratio)}")


def _title(result: RowResult, ridge: float) -> str:
    swept = [f"{name.rpartition('.')[2]} = {plain(result.row.inputs[name])}" for name in result.row.swept]
    return ", ".join([*swept, f"ridge {ridge:g}"])


def _legend(steps: int, page: Page) -> list[Artist]:
    names = ["no step", "one step", "two steps"][: steps + 1]
    lines: Any = LINES
    handles: list[Artist] = [
        Line2D([], [], color=COLOURS[i], linestyle=lines[i], marker=MARKERS[i], markersize=4, markerfacecolor="white",
               linewidth=1.2, label=name)
        for i, name in enumerate(names)
    ]  # fmt: skip
    handles.append(Line2D([], [], color="black", linewidth=1.2, label="predicted (lines)"))
    handles.append(
        Line2D([], [], color="black", linewidth=0, marker="o", markersize=4, markerfacecolor="white",
               label="simulated, standard error")
    )  # fmt: skip
    handles.append(Line2D([], [], color=BULK, linestyle=":", linewidth=1.0, label="label noise"))
    return handles
