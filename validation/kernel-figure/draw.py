"""Figure 1 of arXiv 2605.17718, published beside predicted and simulated: figure.pdf, from the two documents here."""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.lines import Line2D

COLOURS = ("#0072b2", "#d55e00", "#009e73")  # told apart by colour-blind readers


def main() -> None:
    """Draw both panels."""
    here = Path(__file__)
    predicted = json.loads(here.with_name("figure.json").read_text())
    simulated = json.loads(here.with_name("simulated.json").read_text())
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 3.4), layout="constrained")
    a, b = predicted["panel_a"], predicted["panel_b"]
    for row, seen, colour in zip(a["rows"], simulated["panel_a"], COLOURS, strict=True):
        name = f"B = 5 d^{row['p']}"
        left.plot(a["dimensions"], row["predicted"]["n = 1000"], color=colour, label=name)
        _seen(left, a["dimensions"], seen["simulated"], colour)
        left.plot(a["dimensions"], row["published"], "x", color=colour)
    for row, seen, colour in zip(b["rows"], simulated["panel_b"], COLOURS, strict=True):
        right.plot(b["samples"], row["predicted"]["noise 1"], color=colour, label=row["kernel"])
        _seen(right, b["samples"], seen["simulated"], colour)
        right.plot(b["samples"], row["published"], "x", color=colour)
    left.set(
        xscale="log",
        xlabel="dimension d (log scale)",
        ylabel="overlap² of the top eigenvector and Y₂",
        ylim=(0, 0.36),
    )
    right.set(xscale="log", xlabel="samples n (log scale)", ylabel="test error", ylim=(0, 45))
    left.set_xticks(a["dimensions"], [str(d) for d in a["dimensions"]], minor=False)
    right.set_xticks(b["samples"], [str(n) for n in b["samples"]], minor=False)
    for axes in (left, right):
        axes.minorticks_off()
        axes.legend(frameon=False, fontsize=7)
    kinds = [
        Line2D([], [], color="black", label="predicted"),
        Line2D([], [], color="black", marker="o", markerfacecolor="white", linewidth=0, label="simulated"),
        Line2D([], [], color="black", marker="x", linewidth=0, label="published (read off the plot)"),
    ]
    figure.legend(handles=kinds, loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    figure.savefig(here.with_name("figure.pdf"), metadata={"CreationDate": None})


def _seen(axes: plt.Axes, x: list[int], values: list[list[float]], colour: str) -> None:
    means, errors = zip(*values, strict=True)
    axes.errorbar(
        x, means, errors, color=colour, marker="o", markersize=4, markerfacecolor="white", linewidth=0, elinewidth=1
    )


if __name__ == "__main__":
    main()
