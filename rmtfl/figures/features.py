"""Pictures of features studies: spectra of the conjugate kernel, and spikes along what is swept."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from rmtfl.compare import Results, RowResult
from rmtfl.errors import BadInput
from rmtfl.figures.page import (
    BINS,
    BULK,
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
from rmtfl.tables import plain

HEIGHT = 1.9  # of one spectrum, in inches
CURVE_HEIGHT = 1.9  # of one line of panels
FEW = 4  # rows that are shown as spectra; more, along a number, are shown as curves
MOST_SPECTRA = 6


def features_figure(results: Results, trials: Sequence[Trials], page: PageName = "screen") -> Figure:
    """Spectra of conjugate kernels with predicted outliers; of many rows, alignment and location along the sweep.

    Args:
        results: the judged rows.
        trials: for each row its draws, arrays (trials, ...) by name; empty where nothing was simulated.
        page: where it is shown.
    """
    rows = [(row, draws) for row, draws in zip(results.rows, trials, strict=True) if draws]
    if not rows:
        raise BadInput(NOTHING)
    shown = PAGES[page]
    with matplotlib.rc_context(STYLE):
        if len(rows) > FEW and not np.isnan(_place(rows[0][0], _axis(results))):
            return _curves(results, shown.width, shown.dpi)
        rows = rows[:MOST_SPECTRA]
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


def _label(row: RowResult, without: str = "") -> str:
    inputs = row.row.inputs
    swept = (name for name in row.row.swept if name != without and inputs[name] != "limit")
    return ", ".join(f"{_short_name(name)} = {plain(inputs[name])}" for name in swept)


def _short_name(name: str) -> str:
    """The last word of a dotted key that is no position in a list."""
    return next(part for part in reversed(name.split(".")) if not part.isdecimal())


def _spectrum(axes: Axes, row: RowResult, draws: Trials) -> None:
    """The eigenvalues on a logarithmic axis: the bulk as a histogram, outliers draw by draw."""
    outliers, intervals = row.prediction["outliers"], row.prediction["bulk"]["intervals"]
    count = len(outliers)
    bulk = np.asarray(draws.get("spectrum", draws["eigenvalues"]))[:, count:].ravel()
    # Without whole spectra only the top of the bulk is there to be shown.
    low = max(intervals[0][0] / 2, intervals[-1][1] * (1e-2 if "spectrum" in draws else 0.25))
    below = float(np.mean(bulk <= low))
    bulk = bulk[bulk > low]
    bins = np.geomspace(low, max(intervals[-1][1], bulk.max()) * 1.05, BINS)
    heights, _, _ = axes.hist(bulk, bins=bins.tolist(), color=SIMULATED, alpha=0.35)
    top = float(np.max(heights))
    for left, right in intervals:
        axes.axvspan(max(left, low), right, color=BULK, alpha=0.25, linewidth=0)
    values = draws["eigenvalues"][:MOST_DRAWS, :count]
    axes.plot(values, np.linspace(0.35, 0.65, len(values))[:, None] * top * np.ones(count), "o", color=SIMULATED, ms=3)
    for line, outlier in enumerate(outliers):  # names on lines of their own: neighbours would overlap
        axes.axvline(outlier["location"], color=PREDICTED, linestyle="--", linewidth=1.0)
        axes.annotate(
            outlier["name"],
            (outlier["location"], 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(3, -8 - 8 * line),
            textcoords="offset points",
            fontsize=6,
        )
    axes.set(xscale="log", xlabel="eigenvalue of the conjugate kernel on fresh samples", ylabel="eigenvalues")
    axes.set_title(_label(row), loc="left")
    left_out = [] if "spectrum" in draws else [f"the {draws['eigenvalues'].shape[1]} largest of each draw"]
    if below:
        left_out.append(f"{100 * below:.2g}% of them below {low:.2g}")
    axes.set_title(", ".join(left_out), loc="right", fontsize=6)


def _curves(results: Results, width: float, dpi: int) -> Figure:
    """Eigenvalues and alignments along the last sweep, a line of panels for each setting of the others."""
    groups: dict[str, list[RowResult]] = {}
    for row in results.rows:
        if row.row.inputs.get("width") != "limit":
            groups.setdefault(_label(row, _axis(results)), []).append(row)
    shown = list(groups.items())[:FEW]
    figure = Figure(figsize=(width, CURVE_HEIGHT * len(shown) + 0.5), dpi=dpi, layout="constrained")
    grid = figure.subplots(len(shown), 2, squeeze=False, sharex=True)
    for (left, right), (label, rows) in zip(grid, shown, strict=True):
        places = [_place(row, _axis(results)) for row in rows]
        edges = [row.prediction["bulk"]["intervals"][-1][1] for row in rows]
        left.fill_between(places, edges, min(edges) / 2, color=BULK, alpha=0.35, linewidth=0)
        names = list(dict.fromkeys(outlier["name"] for row in rows for outlier in row.prediction["outliers"]))
        for i, name in enumerate(names):
            spike = "mean spike" if name == "mean" else f"{name} spike"
            marker = MARKERS[i % len(MARKERS)]
            _series(left, places, rows, spike, marker, spike)
            _series(right, places, rows, f"{spike}, alignment", marker, None)
        left.set(yscale="log", ylabel="eigenvalue")
        left.legend(frameon=False, fontsize=6)
        right.set(ylabel="alignment with labels")
        right.set_ylim(bottom=0)
        left.set_title(label, loc="left")
    for axes in grid[-1]:
        axes.set_xlabel(_short_name(_axis(results)))
    figure.legend(
        handles=[
            Line2D([], [], color=PREDICTED, linewidth=1, label="predicted"),
            Line2D([], [], color=SIMULATED, linewidth=0, marker="o", markersize=4, mfc="white", label="simulated"),
            Patch(color=BULK, alpha=0.35, linewidth=0, label="predicted bulk"),
        ],
        loc="outside upper right",
        ncols=3,
        frameon=False,
    )
    return figure


def _series(axes: Axes, places: list[float], rows: list[RowResult], name: str, marker: str, label: str | None) -> None:
    found = [next((c for c in row.comparisons if c.name == name), None) for row in rows]
    axes.plot(places, [np.nan if c is None else c.prediction for c in found], color=PREDICTED, marker="_", lw=1)
    axes.errorbar(
        places,
        [np.nan if c is None or c.mean is None else c.mean for c in found],
        yerr=[0.0 if c is None or c.standard_error is None else c.standard_error for c in found],
        color=SIMULATED,
        marker=marker,
        markersize=4,
        markerfacecolor="white",
        linewidth=0,
        elinewidth=1,
        label=label,
    )


def _axis(results: Results) -> str:
    """The last thing swept other than the width, or the width where there is nothing else."""
    swept = results.rows[0].row.swept
    return next((name for name in reversed(swept) if name != "width"), swept[-1])


def _place(row: RowResult, axis: str) -> float:
    """Where a row stands on the axis; NaN where what is swept is no number."""
    try:
        return float(Fraction(str(row.row.inputs[axis])))
    except ValueError:
        return float("nan")
