"""Pictures of law studies: density, edges and outliers over sampled eigenvalues."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from rmtfl.compare import Results, RowResult
from rmtfl.errors import BadInput
from rmtfl.figures.page import BINS, BULK, MOST_DRAWS, NOTHING, PAGES, PREDICTED, SIMULATED, STYLE, PageName, Trials
from rmtfl.laws.predict import build_law, grid

LAW_HEIGHT = 2.3  # of one law, in inches
LAW_POINTS = 800  # of its density
ZERO = 1e-9  # part of the law's reach below which an eigenvalue is that of a smaller rank


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
        raise BadInput(NOTHING)
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
