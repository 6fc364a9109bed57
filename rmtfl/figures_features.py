"""Pictures of features studies: spectra of the conjugate kernel, in the style of `rmtfl.figures`."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from rmtfl.compare import Results, RowResult
from rmtfl.errors import BadInput
from rmtfl.figures import BINS, BULK, MARKERS, MOST_DRAWS, PAGES, PREDICTED, SIMULATED, STYLE, PageName, Trials
from rmtfl.tables import plain

HEIGHT = 1.9  # of one spectrum, in inches
CURVE_HEIGHT = 3.2
FEW = 4  # rows that are shown as spectra; more are shown as a curve


def features_figure(results: Results, trials: Sequence[Trials], page: PageName = "screen") -> Figure:
    """Spectra of conjugate kernels with predicted outliers; of many rows, alignment and location along the sweep.

    Args:
        results: the judged rows.
        trials: for each row its draws, arrays (trials, ...) by name; empty where nothing was simulated.
        page: where it is shown.
    """
    rows = [(row, draws) for row, draws in zip(results.rows, trials, strict=True) if draws]
    if not rows:
        raise BadInput("the store holds no draw of any row yet, so that there is nothing to draw")
    shown = PAGES[page]
    with matplotlib.rc_context(STYLE):
        if len(rows) > FEW:
            return _curves(results, shown.width, shown.dpi)
        figure = Figure(figsize=(shown.width, HEIGHT * len(rows) + 0.4), dpi=shown.dpi, layout="constrained")
        for axes, (row, draws) in zip(figure.subplots(len(rows), 1, squeeze=False)[:, 0], rows, strict=True):
            _spectrum(axes, row, draws)
        figure.legend(
            handles=[
                Patch(color=SIMULATED, alpha=0.35, linewidth=0, label="simulated"),
                Patch(color=BULK, alpha=0.25, linewidth=0, label="predicted bulk"),
                Line2D([], [], color=PREDICTED, linestyle="--", linewidth=1.0, label="predicted outlier"),
                Line2D([], [], color=SIMULATED, marker="o", markersize=3, linewidth=0, label="simulated outlier"),
            ],
            loc="outside upper right",
            ncols=shown.legend_columns,
            frameon=False,
        )
    return figure


def _label(row: RowResult) -> str:
    inputs = row.row.inputs
    return ", ".join(f"{name.rpartition('.')[2]} = {plain(inputs[name])}" for name in row.row.swept)


def _spectrum(axes: Axes, row: RowResult, draws: Trials) -> None:
    """The eigenvalues on a logarithmic axis: the bulk as a histogram, outliers draw by draw."""
    outliers, intervals = row.prediction["outliers"], row.prediction["bulk"]["intervals"]
    count = len(outliers)
    bulk = np.asarray(draws.get("spectrum", draws["eigenvalues"]))[:, count:].ravel()
    low = max(intervals[0][0] / 2, intervals[-1][1] * 1e-3)
    bulk = bulk[bulk > low]
    bins = np.geomspace(low, max(intervals[-1][1], bulk.max()) * 1.05, BINS)
    heights, _, _ = axes.hist(bulk, bins=bins.tolist(), color=SIMULATED, alpha=0.35)
    top = float(np.max(heights))
    for left, right in intervals:
        axes.axvspan(max(left, low), right, color=BULK, alpha=0.25, linewidth=0)
    values = draws["eigenvalues"][:MOST_DRAWS, :count]
    axes.plot(values, np.linspace(0.35, 0.65, len(values))[:, None] * top * np.ones(count), "o", color=SIMULATED, ms=3)
    for outlier in outliers:
        axes.axvline(outlier["location"], color=PREDICTED, linestyle="--", linewidth=1.0)
        axes.annotate(
            outlier["name"],
            (outlier["location"], 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(3, -8),
            textcoords="offset points",
            fontsize=6,
        )
    axes.set(xscale="log", xlabel="eigenvalue of the conjugate kernel on fresh samples", ylabel="eigenvalues")
    axes.set_title(_label(row), loc="left")


def _curves(results: Results, width: float, dpi: int) -> Figure:
    """Location and alignment of the largest feature spike against the row, predicted and simulated."""
    figure = Figure(figsize=(width, CURVE_HEIGHT), dpi=dpi, layout="constrained")
    panels = figure.subplots(1, 2)
    rows = [row for row in results.rows if row.row.inputs.get("width") != "limit"]
    places = np.arange(len(rows))
    for axes, name, title in zip(
        panels, ("feature 1 spike", "feature 1 spike, alignment"), ("eigenvalue", "alignment with labels"), strict=True
    ):
        found = [next((c for c in row.comparisons if c.name == name), None) for row in rows]
        axes.plot(places, [np.nan if c is None else c.prediction for c in found], color=PREDICTED, marker="_", lw=1)
        axes.errorbar(
            places,
            [np.nan if c is None or c.mean is None else c.mean for c in found],
            yerr=[0.0 if c is None or c.standard_error is None else c.standard_error for c in found],
            color=SIMULATED,
            marker=MARKERS[0],
            markersize=4,
            markerfacecolor="white",
            linewidth=0,
            elinewidth=1,
        )
        axes.set_xticks(places, [_label(row) for row in rows], rotation=90, fontsize=5)
        axes.set_ylabel(f"{title} of the first feature spike")
    panels[0].set_yscale("log")
    panels[1].set_ylim(bottom=0)
    figure.legend(
        handles=[
            Line2D([], [], color=PREDICTED, linewidth=1, marker="_", label="predicted"),
            Line2D([], [], color=SIMULATED, linewidth=0, marker="o", markersize=4, label="simulated"),
        ],
        loc="outside upper right",
        ncols=2,
        frameon=False,
    )
    return figure
