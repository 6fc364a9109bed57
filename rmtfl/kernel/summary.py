"""The prediction of a kernel as a table for a reader."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rmtfl.tables import Column, Sheet, measured


def summary(setup: object, prediction: Mapping[str, Any]) -> Sheet:
    """A line an eigenvalue, from the document of a `kernel` row."""
    del setup
    columns = (
        Column("degree"),
        Column("multiplicity", numeric=True),
        Column("mode"),
        Column("eigenvalue", numeric=True),
        Column("over spike 0", numeric=True),
    )
    lines = []
    for block, ratios, errors in zip(
        prediction["blocks"], prediction["amplification"], prediction["amplification_error"], strict=True
    ):
        for mode, (eigenvalue, ratio, error) in enumerate(zip(block["eigenvalues"], ratios, errors, strict=True), 1):
            lines.append(
                (
                    str(block["degree"]),
                    measured(block["multiplicity"]),
                    str(mode),
                    measured(eigenvalue, error=block["error"]),
                    measured(ratio, error=error or 0.0),
                )
            )
    trace = measured(prediction["trace"], error=prediction["trace_error"])
    remainder = measured(prediction["remainder"], error=prediction["trace_error"])
    notes = (f"trace {trace}, of which other degrees have {remainder}",)
    return Sheet(columns, tuple(lines), notes)
