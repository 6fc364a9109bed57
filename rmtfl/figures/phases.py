"""The exact number of spikes over the exponents of two steps."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rmtfl.compare import Results, RowResult
from rmtfl.figures.page import STYLE

MOST_COUNT = 6  # counts above this share a colour in the phase diagram


def phase_diagram() -> Figure:
    """The generic count 1 + ⌊α₂/(1/2 − α₁)⌋ over the exponents of two steps, with its critical lines."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(3.9, 3.1), layout="constrained")
        draw_phases(figure.add_subplot())
    return figure


def draw_phases(axes: Axes, legend_below: bool = False) -> None:
    """Regions of equal count, with the critical lines between them."""
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


def swept_exponents(results: Results) -> list[RowResult]:
    """The two-step rows of a study that sweeps exponents."""
    return [
        row
        for row in results.rows
        if any(name.startswith("training.alpha") for name in row.row.swept) and len(row.row.setup.training.alpha) == 2
    ]


def draw_counts(axes: Axes, rows: Sequence[RowResult]) -> None:
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
