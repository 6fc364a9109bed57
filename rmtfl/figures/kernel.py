"""Pictures of kernel studies: spectra, kernel matrices and learning curves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, NullFormatter

from rmtfl.compare import Comparison, Results, RowResult
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
    Page,
    PageName,
    Trials,
)
from rmtfl.kernel.matrices import kernel_matrix
from rmtfl.tables import plain

COLOURS = (PREDICTED, SIMULATED, LEADING, "#CC79A7", "#E69F00", "#56B4E9")  # Okabe and Ito
PAGE_HEIGHT = 9.0  # in inches
SPECTRUM_HEIGHT = 2.2  # of one row of a kernel study, in inches
MATRIX_HEIGHT = 2.1  # of one kernel matrix
CURVE_HEIGHT = 3.4
MOST_CURVES = len(COLOURS)
MODES_SHOWN = 4  # eigenfunctions whose mixing is drawn
HARMONICS_SHOWN = 6
DENSITY_POINTS = 200  # of an interval of the bulk
ZERO = 1e-12  # part of the largest eigenvalue below which one is rounding
SYMBOLS = {"spike": "B", "isotropic": "A", "samples": "n", "dimension": "d", "activation": "σ"}


def _stacked(
    results: Results,
    trials: Sequence[Trials],
    page: PageName,
    height: float,
    panel: Callable[[SubFigure, RowResult, Trials, Page], None],
    legend: list[Artist],
) -> Figure:
    """A figure of one panel a simulated row, as many as fit on the page."""
    shown = PAGES[page]
    fitting = min(shown.most_panels, int(PAGE_HEIGHT / height))
    rows = [(row, draws) for row, draws in zip(results.rows, trials, strict=True) if draws][:fitting]
    if not rows:
        raise BadInput(NOTHING)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(shown.width, height * len(rows) + 0.4), dpi=shown.dpi, layout="constrained")
        parts = figure.subfigures(len(rows), 1, squeeze=False)[:, 0]
        for part, (row, draws) in zip(parts, rows, strict=True):
            panel(part, row, draws, shown)
            part.suptitle(_label(row), x=0.01, ha="left", fontsize=8)
        figure.legend(handles=legend, loc="outside upper right", ncols=shown.legend_columns, frameon=False)
    return figure


def _label(result: RowResult) -> str:
    """The swept inputs, numbers in four digits."""
    return ", ".join(f"{_symbol(name)} = {_short(result.row.inputs[name])}" for name in result.row.swept)


def _symbol(name: str) -> str:
    last = name.rpartition(".")[2]
    return SYMBOLS.get(last, last.replace("_", " "))


def _short(value: Any) -> str:
    text = plain(value)
    try:
        return text if len(text) <= 6 else f"{float(Fraction(text)):.4g}"
    except ValueError:
        return text


def _errors(comparisons: Sequence[Comparison]) -> list[float]:
    return [comparison.standard_error or 0.0 for comparison in comparisons]


# ------------------------------------------------------------------------------------------------ spectra


def kernel_figure(results: Results, trials: Sequence[Trials], page: PageName = "screen") -> Figure:
    """Eigenvalues by degree, their amplification by the spike, and the leading eigenfunctions' mixing.

    Args:
        results: the judged rows.
        trials: for each row its draws, arrays (trials, ...) by name; empty where nothing was simulated.
        page: where it is shown.
    """
    legend: list[Artist] = [
        Line2D([], [], color="black", linewidth=1, marker="_", label="predicted"),
        Line2D([], [], color="black", linewidth=0, marker="o", markersize=4, fillstyle="none", label="simulated"),
    ]
    shown = PAGES[page]
    height = SPECTRUM_HEIGHT if shown.side_by_side else 3 * SPECTRUM_HEIGHT
    return _stacked(results, trials, page, height, _kernel_panel, legend)


def _kernel_panel(part: SubFigure, result: RowResult, draws: Trials, page: Page) -> None:
    layout = (1, 3) if page.side_by_side else (3, 1)
    values, ratios, mixing = np.ravel(part.subplots(*layout))
    prediction = result.prediction
    simulated = {comparison.name: comparison for comparison in result.comparisons}
    tops = [float(block["eigenvalues"][0]) for block in prediction["blocks"]]
    for i, (block, amplified) in enumerate(zip(prediction["blocks"], prediction["amplification"], strict=True)):
        style: Any = {"color": COLOURS[i % len(COLOURS)], "linewidth": 1, "linestyle": LINES[i % len(LINES)]}
        rank = np.arange(1, len(block["eigenvalues"]) + 1)
        numbers = np.array([float(value) for value in block["eigenvalues"]])
        resolved = numbers > float(block["error"])
        label = f"ℓ = {block['degree']} (× {block['multiplicity']:,})"
        values.plot(rank[resolved], numbers[resolved], marker="_", label=label, **style)
        found = [(j, simulated.get(f"degree {block['degree']}, eigenvalue {j}")) for j in rank]
        # An eigenvalue lost in the simulation's noise says nothing on a logarithmic axis.
        seen = [(j, c) for j, c in found if c and c.mean and c.mean > 3 * (c.standard_error or c.mean)]
        values.errorbar(
            [j for j, _ in seen],
            [c.mean or 0.0 for _, c in seen],
            yerr=_errors([c for _, c in seen]),
            color=style["color"],
            marker="o",
            markersize=4,
            fillstyle="none",
            linewidth=0,
            elinewidth=1,
        )
        ratios.plot(rank, [np.nan if ratio is None else ratio for ratio in amplified], marker="_", **style)
    values.set(yscale="log", xlabel="rank in its degree", ylabel="eigenvalue", ylim=(1e-9 * max(tops), 3 * max(tops)))
    values.legend(frameon=False, loc="lower left")
    ratios.set(yscale="log", xlabel="rank in its degree", ylabel="amplification")
    ratios.axhline(1, color=BULK, linewidth=0.8, zorder=0)
    for axes in (values, ratios):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _mixing_panel(mixing, prediction, draws)


def _mixing_panel(axes: Axes, prediction: Any, draws: Trials) -> None:
    block = next((block for block in prediction["blocks"] if "mixing" in block), None)
    if block is None:
        axes.set_axis_off()
        return
    shares = np.array(block["mixing"])[:MODES_SHOWN, :HARMONICS_SHOWN]
    axes.imshow(shares, cmap="Greys", vmin=0, vmax=1, aspect="auto")
    measured = draws["mixing"].mean(axis=0) if "mixing" in draws else np.empty((0, 0))
    for (j, m), share in np.ndenumerate(shares):
        if share >= 5e-4:
            text = f"{share:.3f}"
            # Only the top mode's shares are compared; the others' are noisier.
            if j == 0 and m < measured.shape[-1]:
                text += f"\n({measured[j, m]:.3f})"
            axes.text(m, j, text, ha="center", va="center", fontsize=5, color="white" if share > 0.5 else "black")
    axes.set_xticks(range(shares.shape[1]), [f"$Y_{m}$" for m in range(shares.shape[1])])
    axes.set_yticks(range(shares.shape[0]), [str(j + 1) for j in range(shares.shape[0])])
    axes.set(xlabel="share (simulated)", ylabel="eigenfunction, ℓ = 0")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)


# ------------------------------------------------------------------------------------------------ matrices


def kernel_matrix_figure(results: Results, trials: Sequence[Trials], page: PageName = "screen") -> Figure:
    """Eigenvalues of kernel matrices over the predicted density and its intervals, with the outliers.

    Args and limits as for `kernel_figure`.
    """
    legend: list[Artist] = [
        Patch(color=SIMULATED, alpha=0.35, linewidth=0, label="simulated"),
        Line2D([], [], color=PREDICTED, linewidth=1.2, label="predicted density"),
        Line2D([], [], color=PREDICTED, linewidth=1.0, linestyle="--", label="predicted outlier"),
        Line2D([], [], color=SIMULATED, marker="o", markersize=3, linewidth=0, label="simulated outlier"),
        Patch(color=BULK, alpha=0.25, linewidth=0, label="between predicted edges"),
    ]
    return _stacked(results, trials, page, MATRIX_HEIGHT, _matrix_panel, legend)


def _matrix_panel(part: SubFigure, result: RowResult, draws: Trials, page: Page) -> None:
    axes = part.subplots()
    setup, prediction, table = result.row.setup, result.prediction, result.row.setup.kernel
    top = float(prediction["bulk"]["intervals"][-1][1]) if prediction["bulk"]["intervals"] else 0.0
    count = sum(outlier["location"] > top for outlier in prediction["outliers"])
    values = draws["eigenvalues"]
    bulk = values[:, count:].ravel()
    bulk = bulk[bulk > ZERO * values.max()]
    edges = np.linspace(np.log10(bulk.min()), np.log10(bulk.max()), 2 * BINS + 1)
    weights = np.full(len(bulk), 1 / (len(values) * table.samples * (edges[1] - edges[0])))
    axes.hist(bulk, bins=list(10**edges), weights=weights, color=SIMULATED, alpha=0.35)
    law = kernel_matrix(setup.spiked, table.samples, max(table.degrees), table.modes, setup.theory.tolerance)
    highest = 0.0
    for low, high in prediction["bulk"]["intervals"]:
        axes.axvspan(low, high, color=BULK, alpha=0.25, linewidth=0)
        if low <= ZERO * values.max():
            low = float(bulk.min())
        x = np.geomspace(low, high, DENSITY_POINTS)
        inside = x[1:-1]
        density = np.concatenate([[0.0], law.density(inside) * inside * np.log(10), [0.0]])
        axes.plot(x, density, color=PREDICTED, linewidth=1.2)
        highest = max(highest, float(density.max()))
    for outlier in prediction["outliers"]:
        axes.axvline(outlier["location"], color=PREDICTED, linewidth=1.0, linestyle="--")
    outside = values[:MOST_DRAWS, :count]
    heights = np.linspace(0.4, 0.6, len(outside)) * highest
    axes.plot(outside, np.repeat(heights[:, None], count, 1), "o", color=SIMULATED, markersize=3, alpha=0.5)
    axes.set(xscale="log", xlabel="eigenvalue of the kernel matrix / n", ylabel="density in log₁₀")
    axes.set_ylim(0, 1.15 * highest)


# ------------------------------------------------------------------------------------------------ learning curves


def learning_curve_figure(results: Results, trials: Sequence[Trials], page: PageName = "screen") -> Figure:
    """Test error against the number of samples: a line for each prediction, simulated means with standard errors.

    Args and limits as for `kernel_figure`.
    """
    if not any(trials):
        raise BadInput(NOTHING)
    shown = PAGES[page]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(shown.width, CURVE_HEIGHT), dpi=shown.dpi, layout="constrained")
        axes = figure.add_subplot()
        sizes: set[int] = set()
        for i, row in enumerate(results.rows[:MOST_CURVES]):
            samples, seen = row.prediction["samples"], [c for c in row.comparisons if c.mean is not None]
            sizes.update(samples)
            colour, name = COLOURS[i], _label(row)
            axes.plot(
                samples,
                row.prediction["mse"],
                color=colour,
                linestyle=LINES[i % len(LINES)],
                linewidth=1.2,
                label=name or "predicted",
            )
            places = [n for n, c in zip(samples, row.comparisons, strict=True) if c.mean is not None]
            axes.errorbar(
                places,
                [c.mean or 0.0 for c in seen],
                yerr=_errors(seen),
                color=colour,
                marker=MARKERS[i % len(MARKERS)],
                markersize=4,
                markerfacecolor="white",
                linewidth=0,
                elinewidth=1,
                capsize=2,
            )
        axes.errorbar(
            [],
            [],
            yerr=[],
            color="black",
            marker="o",
            markerfacecolor="white",
            linewidth=0,
            elinewidth=1,
            markersize=4,
            capsize=2,
            label="simulated, with standard error",
        )
        axes.set(xscale="log", xlabel="samples n", ylabel="test error on noisy labels")
        axes.set_ylim(bottom=0)
        axes.set_xticks(sorted(sizes), [str(n) for n in sorted(sizes)])
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.legend(frameon=False)
    return figure
