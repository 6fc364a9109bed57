"""Predictions of ridge regressions on features as a table for a reader."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from rmtfl.regression.compare import steps_named
from rmtfl.tables import Column, Measured, Sheet, measured

Document = Mapping[str, Any]


def summary(setup: Any, prediction: Document) -> Sheet:
    """A line a ridge and sample ratio: the test error after 0, 1, … steps side by side, and what all steps buy."""
    steps = sorted({curve["steps"] for curve in prediction["curves"]})
    columns = (
        Column("ridge"),
        Column("fresh samples per d"),
        *(Column(f"mse, {steps_named(count)}", numeric=True) for count in steps),
        Column("steps buy"),
        Column(f"training error, {steps_named(steps[-1])}", numeric=True),
    )
    lines: list[tuple[str | Measured, ...]] = []
    for ridge in dict.fromkeys(curve["ridge"] for curve in prediction["curves"]):
        curves = [curve for curve in prediction["curves"] if curve["ridge"] == ridge]
        for index, ratio in enumerate(curves[0]["sample_ratio"]):
            errors = [curve["mse"][index] for curve in curves]
            lines.append(
                (
                    f"{ridge:g}",
                    f"{ratio:g}",
                    *(_number(curve, "mse", "error", index) for curve in curves),
                    ", ".join(f"{after / before - 1:+.1%}" for before, after in itertools.pairwise(errors)),
                    _number(curves[-1], "training", "training_error", index),
                )
            )
    notes = (
        f"mean squared errors on fresh noisy labels; none falls below the label noise, {prediction['noise_floor']:g}",
        "the read-out minimises the sum over the fresh samples of squared residuals, plus ridge times its squared norm",
        "steps buy: the change of the test error with each step",
    )
    return Sheet(columns, tuple(lines), notes)


def _number(curve: Mapping[str, Any], value: str, error: str, index: int) -> Measured:
    return measured(curve[value][index], error=curve[error][index])
