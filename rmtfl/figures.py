"""Pictures. With `rmtfl.figures_kernel`, the only module that knows matplotlib.

Colours are those of Okabe and Ito, which readers of any colour vision can tell apart; predicted and simulated also
differ in shape, so that the pictures can be read in grey too. Sizes are in inches: for a screen two columns wide, for
print one. .pdf and .svg are vectors, and no file holds a date.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import matplotlib

matplotlib.use("Agg")

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, ScalarFormatter
from numpy.typing import NDArray

from rmtfl.compare import Results, RowResult
from rmtfl.errors import BadInput
from rmtfl.laws.predict import build_law, grid
from rmtfl.tables import plain
from rmtfl.weights.bulk import bulk_law

Trials = Mapping[str, NDArray[np.float64]]

SIMULATED = "#0072B2"  # blue
PREDICTED = "#D55E00"  # vermillion
LEADING = "#009E73"  # green
BULK = "#BBBBBB"
STYLE: Any = {
    "font.size": 8,
    "axes.labelsize": 8,
    "axes.titlesize": 8,
    "legend.fontsize": 7,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.dpi": 200,
    "savefig.dpi": "figure",
    "svg.hashsalt": "rmtfl",  # equal pictures, equal files
    "pdf.fonttype": 42,
}
BELOW_HEIGHT = 2.9  # of the convergence panel and the phase diagram
BULK_SHOWN = 3  # singular values of the bulk drawn beside the outliers
MOST_DRAWS = 40  # lines of dots in a panel
BINS = 50  # of the histogram
LAW_HEIGHT = 2.3  # of one law, in inches
LAW_POINTS = 800  # of its density
ZERO = 1e-9  # part of the law's reach below which an eigenvalue is that of a smaller rank
MARKERS = "os^Dvp"
LINES = ("-", "--", "-.", ":")
MOST_COUNT = 6  # counts above this share a colour in the phase diagram

PageName = Literal["screen", "print"]


@dataclass(frozen=True)
class Page:
    """Where a figure is shown.

    Attributes:
        width: in inches.
        panel_height: of a spectrum, in inches.
        most_panels: more spectra do not fit.
        side_by_side: whether there is room for the bulk beside the outliers.
        dpi: of a picture in pixels.
        legend_columns: of the legend above the panels.
    """

    width: float
    panel_height: float
    most_panels: int
    side_by_side: bool
    dpi: int
    legend_columns: int


PAGES: dict[PageName, Page] = {
    "screen": Page(width=6.8, panel_height=1.75, most_panels=6, side_by_side=True, dpi=200, legend_columns=4),
    "print": Page(width=3.4, panel_height=2.9, most_panels=2, side_by_side=False, dpi=600, legend_columns=2),
}

# Nothing dates a file, so that equal runs give equal files.
_UNDATED: dict[str, dict[str, None]] = {".pdf": {"CreationDate": None}, ".svg": {"Date": None}, ".png": {}}


def save(figure: Figure, path: Path) -> None:
    """Write a figure, as a vector or in pixels by its suffix.

    Raises:
        BadInput: for another suffix, or a place that cannot be written.
    """
    metadata = _UNDATED.get(path.suffix.lower())
    if metadata is None:
        raise BadInput(f"{path}: unknown suffix {path.suffix!r}; expected one of {', '.join(_UNDATED)}")
    try:
        _write(figure, path, path.suffix.lower())
    except OSError as error:
        raise BadInput(
            f"{path}: cannot be written ({error.strerror}); expected a file in a folder that exists"
        ) from None


def as_svg(figure: Figure) -> bytes:
    """The figure as the text of an .svg file."""
    buffer = io.BytesIO()
    _write(figure, buffer, ".svg")
    return buffer.getvalue()


def _write(figure: Figure, place: Path | io.BytesIO, suffix: str) -> None:
    with matplotlib.rc_context(STYLE):
        figure.savefig(place, format=suffix[1:], metadata=_UNDATED[suffix])


# ------------------------------------------------------------------------------------------------ weights


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
    exponents = _swept_exponents(results)
    panels = _largest_widths(simulated)
    # The phase diagram says what many spectra of different exponents would.
    panels = [] if exponents and len(panels) > shown.most_panels else panels[: shown.most_panels]
    heights = [shown.panel_height] * len(panels) + [BELOW_HEIGHT] * (bool(converging) + bool(exponents))
    if not heights:
        raise BadInput("the store holds no draw of any row yet, so that there is nothing to draw")
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
            _draw_phases(axes, legend_below=not shown.side_by_side)
            _draw_counts(axes, exponents)
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
        Line2D([], [], color=SIMULATED, marker="o", markersize=3, linewidth=0, label="simulated, a line for each draw"),
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
    reach = upper + 0.15 * (upper - lower)
    if "spectrum" in draws:
        values = draws["spectrum"].ravel()
        inside = values[values <= reach]
        start = min(lower, float(inside.min(initial=lower)))
        weights = np.full(len(inside), BINS / (len(values) * (reach - start)))
        bulk.hist(inside, bins=BINS, range=(start, reach), weights=weights, color=SIMULATED, alpha=0.35)
    x = np.linspace(lower, upper, 801)[1:-1]
    bulk.plot(x, bulk_law(setup, prediction).density(x), color=PREDICTED, linewidth=1.2)
    bulk.set(xlim=(max(0, lower - 0.1 * (upper - lower)), reach), xlabel="singular value", ylabel="density")

    shown = len(prediction["outliers"]) + BULK_SHOWN
    drawn = draws["singular_values"][:MOST_DRAWS, :shown]
    for index, top in enumerate(drawn, 1):
        outliers.plot(top, np.full(len(top), index), "o", color=SIMULATED, markersize=3, alpha=0.7, linewidth=0)
    outliers.axvspan(lower, upper, color=BULK, alpha=0.5, linewidth=0)
    for outlier in prediction["outliers"]:
        outliers.axvline(float(outlier["location"]), color=PREDICTED, linewidth=1.3)
    for location in _shown(result, "leading order"):
        outliers.axvline(location, color=LEADING, linestyle=":", linewidth=1.3)
    outliers.set(
        xscale="log", xlabel="largest singular values (log scale)", ylabel="draw", ylim=(0.3, len(drawn) + 0.7)
    )
    outliers.set_xlim(left=max(0.55 * upper, lower))
    outliers.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
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


# ------------------------------------------------------------------------------------------------ convergence


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
            ("resummed", "outlier 1", PREDICTED),
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


# ------------------------------------------------------------------------------------------------ phase diagram


def phase_diagram() -> Figure:
    """The generic count 1 + ⌊α₂/(1/2 − α₁)⌋ over the exponents of two steps, with its critical lines."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(3.9, 3.1), layout="constrained")
        _draw_phases(figure.add_subplot())
    return figure


def _draw_phases(axes: Axes, legend_below: bool = False) -> None:
    shades = matplotlib.colormaps["cividis"](np.linspace(0.95, 0.25, MOST_COUNT))
    alpha1 = np.linspace(0, 0.5, 400)
    # Line k is where the k-th strength stays of order one: above it there are k + 1 spikes.
    boundaries = [np.minimum(k * (0.5 - alpha1), 0.5) for k in range(MOST_COUNT)] + [np.full_like(alpha1, 0.5)]
    for k in range(MOST_COUNT):
        low, high = boundaries[k], boundaries[k + 1]
        label = f"{k + 1}" if k + 1 < MOST_COUNT else f"{k + 1} or more"
        axes.fill_between(alpha1, low, high, color=shades[k], linewidth=0, label=label)
    for k in range(1, MOST_COUNT):
        axes.plot(alpha1, np.where(boundaries[k] < 0.5, boundaries[k], np.nan), color="black", linewidth=0.7)
    axes.set(xlim=(0, 0.5), ylim=(0, 0.5), xlabel="α₁", ylabel="α₂")
    axes.set_aspect("equal")
    if legend_below:
        axes.legend(title="spikes", frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=6)
    else:
        axes.legend(title="spikes", frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))


def _swept_exponents(results: Results) -> list[RowResult]:
    """The two-step rows of a study that sweeps exponents."""
    return [
        row
        for row in results.rows
        if any(name.startswith("training.alpha") for name in row.row.swept) and len(row.row.setup.training.alpha) == 2
    ]


def _draw_counts(axes: Axes, rows: Sequence[RowResult]) -> None:
    """Predicted and simulated counts at the exponents of a study."""
    counts: dict[tuple[float, float], str] = {}
    for result in rows:
        place = (float(result.row.setup.training.alpha[0]), float(result.row.setup.training.alpha[1]))
        observed = [c for c in result.comparisons if c.name.startswith("outliers observed") and c.mean is not None]
        simulated = "".join(f" / {'≥ ' * c.name.endswith('at least')}{c.mean:.2g}" for c in observed)
        counts[place] = f"{result.prediction['count']}{simulated}"
    for (x, y), text in counts.items():
        axes.annotate(
            text,
            (x, y),
            ha="center",
            va="center",
            fontsize=6,
            bbox={"boxstyle": "round,pad=0.2", "facecolor": "white", "edgecolor": "black", "linewidth": 0.5},
            annotation_clip=False,
        )
    axes.set_title("at the labels: outliers predicted / simulated", loc="left")


# ------------------------------------------------------------------------------------------------ laws


def law_figure(results: Results, trials: Sequence[Trials], page: PageName = "screen") -> Figure:
    """Simulated eigenvalues over the density of each row's law, with its edges and outliers.

    Args:
        results: the judged rows.
        trials: for each row its draws, arrays (trials, ...) by name; empty where nothing was simulated.
        page: where it is shown.
    """
    shown = PAGES[page]
    rows = [(row, draws) for row, draws in zip(results.rows, trials, strict=True) if draws][: shown.most_panels]
    if not rows:
        raise BadInput("the store holds no draw of any row yet, so that there is nothing to draw")
    with matplotlib.rc_context(STYLE):
        size = (shown.width, LAW_HEIGHT * len(rows) + 0.4)
        figure = Figure(figsize=size, dpi=shown.dpi, layout="constrained")
        for axes, (row, draws) in zip(figure.subplots(len(rows), 1, squeeze=False)[:, 0], rows, strict=True):
            _law_panel(axes, row, draws)
        figure.legend(handles=_law_legend(), loc="outside upper right", ncols=shown.legend_columns, frameon=False)
    return figure


def _law_panel(axes: Axes, result: RowResult, draws: Trials) -> None:
    law, prediction = build_law(result.row.setup.law), result.prediction
    null = ZERO * max(abs(edge) for edge in law.edges) if law.atoms else -np.inf
    values = draws["eigenvalues"].ravel()
    seen = values[np.abs(values) > null]
    bins = min(10 * BINS, max(BINS, int(2 * len(seen) ** 0.5)))
    reach = (float(seen.min()), float(seen.max()))
    weights = np.full(len(seen), bins / (len(values) * (reach[1] - reach[0])))
    axes.hist(seen, bins=bins, range=reach, weights=weights, color=SIMULATED, alpha=0.35)
    x = grid(law, LAW_POINTS)
    density = law.density(x)
    for low, high in law.support:
        axes.axvspan(low, high, color=BULK, alpha=0.25, linewidth=0)
        inside = (x > low) & (x < high)
        curve = np.concatenate([[0.0], density[inside], [0.0]])
        axes.plot(np.concatenate([[low], x[inside], [high]]), curve, color=PREDICTED, linewidth=1.2)
    # A density that is infinite at 0 would leave no room for the rest.
    top = 1.15 * float(np.quantile(density, 0.95))
    for i, outlier in enumerate(prediction["outliers"]):
        if outlier["location"] is not None:
            place = float(outlier["location"])
            axes.axvline(place, color=PREDICTED, linewidth=1.0, linestyle="--")
            simulated = draws["locations"][:MOST_DRAWS, i] if "locations" in draws else np.empty(0)
            axes.plot(simulated, np.full(len(simulated), top / 2), "o", color=SIMULATED, markersize=3, alpha=0.5)
    axes.set(xlabel="eigenvalue", ylabel="density", ylim=(0, top))
    axes.set_title(result.row.label, loc="left")


def _law_legend() -> list[Artist]:
    return [
        Patch(color=SIMULATED, alpha=0.35, linewidth=0, label="simulated"),
        Line2D([], [], color=PREDICTED, linewidth=1.2, label="predicted density"),
        Line2D([], [], color=PREDICTED, linewidth=1.0, linestyle="--", label="predicted outlier"),
        Line2D([], [], color=SIMULATED, marker="o", markersize=3, linewidth=0, label="simulated outlier"),
        Patch(color=BULK, alpha=0.25, linewidth=0, label="between predicted edges"),
    ]
