"""The prediction of a law as a table for a reader, and what of it is proved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rmtfl.tables import Column, Measured, Sheet, measured

Document = Mapping[str, Any]


def summary(setup: object, prediction: Document) -> Sheet:
    """A line a spike, and the edges; the density is in the JSON."""
    del setup
    columns = tuple(Column(title, numeric=True) for title in ("spike", "outlier", "overlap", "error"))
    lines = tuple(
        (
            measured(outlier["spike"]),
            _number(outlier["location"], outlier["error"]) if outlier["location"] else Measured("in the bulk"),
            _number(outlier["overlap"], outlier["error"]),
            Measured(f"{outlier['error']:.0e}" if outlier["location"] else ""),
        )
        for outlier in prediction["outliers"]
    )
    edges = ", ".join(str(_number(edge, prediction["edges_error"])) for edge in prediction["edges"])
    atoms = [f"point mass {measured(atom['mass'])} at {measured(atom['location'])}" for atom in prediction["atoms"]]
    count = len(prediction["density"]["x"])
    proved = _proved(prediction["certificate"]) if "certificate" in prediction else ()
    notes = (f"edges {edges}", *atoms, *prediction["notes"], f"--json has the density at {count} points", *proved)
    return Sheet(columns, lines, notes)


def _number(value: float | str | None, error: float) -> Measured:
    """A number rounded by its error, or as it is where digits were asked for."""
    return Measured(value) if isinstance(value, str) else measured(value, error=error)


def _proved(certificate: Document) -> Iterator[str]:
    """The lines of a certificate; its densities are in the JSON."""
    statement = certificate["statement"]
    for name in ("edges", "thresholds"):
        yield f"{name}, {statement}: {', '.join(found['value'] for found in certificate[name])}"
    for outlier in certificate["outliers"]:
        spike = f"spike {measured(outlier['spike'])}, {outlier['statement']}"
        if outlier["location"]:
            spike += f": outlier {outlier['location']['value']}, overlap {outlier['overlap']['value']}"
        yield spike
    yield f"--json has the density at {len(certificate['density'])} points, {statement}"
