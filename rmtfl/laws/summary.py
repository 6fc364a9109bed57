"""The prediction of a law as a table for a reader."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rmtfl.tables import Column, Measured, Sheet, measured


def summary(setup: object, prediction: Mapping[str, Any]) -> Sheet:
    """A line a spike, and the edges; the density is in the JSON."""
    del setup
    columns = tuple(Column(title, numeric=True) for title in ("spike", "outlier", "overlap", "error"))
    lines = tuple(
        (
            measured(outlier["spike"]),
            measured(outlier["location"], error=outlier["error"]) if outlier["location"] else Measured("in the bulk"),
            measured(outlier["overlap"], error=outlier["error"]),
            Measured(f"{outlier['error']:.0e}" if outlier["location"] else ""),
        )
        for outlier in prediction["outliers"]
    )
    edges = ", ".join(str(measured(edge, error=prediction["edges_error"])) for edge in prediction["edges"])
    atoms = [f"point mass {measured(atom['mass'])} at {measured(atom['location'])}" for atom in prediction["atoms"]]
    count = len(prediction["density"]["x"])
    notes = (f"edges {edges}", *atoms, *prediction["notes"], f"--json has the density at {count} points")
    return Sheet(columns, lines, notes)
