"""Predictions of kernels, their matrices and their learning curves as tables for a reader."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rmtfl.tables import Column, Measured, Sheet, measured

Document = Mapping[str, Any]


def summary(setup: Any, prediction: Document) -> Sheet:
    """The leading spectrum, a line an eigenvalue, from its document."""
    columns = (
        Column("degree"),
        Column("multiplicity"),
        Column("eigenvalue", numeric=True),
        Column("amplification", numeric=True),
        Column("largest share", numeric=False),
    )
    lines = []
    for block, ratios in zip(prediction["blocks"], prediction["amplification"], strict=True):
        mixing = block.get("mixing") or [None] * len(block["eigenvalues"])
        for value, ratio, shares in zip(block["eigenvalues"], ratios, mixing, strict=True):
            largest = max(range(len(shares)), key=shares.__getitem__) if shares else None
            lines.append(
                (
                    str(block["degree"]),
                    str(block["multiplicity"]),
                    Measured(value) if isinstance(value, str) else measured(value, error=block["error"]),
                    Measured("") if ratio is None else measured(ratio),
                    "" if largest is None else f"{shares[largest]:.4f} of Y_{largest}",
                )
            )
    notes = (
        f"A = {prediction['isotropic']:.6g}, B = {prediction['spike']:.6g}",
        f"trace {prediction['trace']:.8g}; degrees not listed hold {prediction['remainder']:.3g} of it",
    )
    return Sheet(columns, tuple(lines), notes)


def matrix_summary(setup: Any, prediction: Document) -> Sheet:
    """A kernel matrix's outliers, a line each, and its bulk."""
    columns = (
        Column("outlier"),
        Column("location", numeric=True),
        Column("eigenvalue", numeric=True),
        Column("alignment", numeric=True),
    )
    lines = tuple(
        (
            str(j + 1),
            measured(outlier["location"], error=outlier["error"]),
            measured(outlier["eigenvalue"], error=outlier["error"]),
            measured(outlier["alignment"], error=outlier["error"]),
        )
        for j, outlier in enumerate(prediction["outliers"])
    )
    intervals = ", ".join(f"[{low:.6g}, {high:.6g}]" for low, high in prediction["bulk"]["intervals"])
    return Sheet(columns, lines, (f"bulk {intervals}", "eigenvalues of the kernel matrix over n"))


def curve_summary(setup: Any, prediction: Document) -> Sheet:
    """A learning curve, a line a sample size."""
    columns = (
        Column("samples"),
        Column("mse", numeric=True),
        Column("ridge"),
        Column("effective ridge", numeric=True),
    )
    rows = zip(
        *(prediction[key] for key in ("samples", "mse", "error", "ridge", "effective_ridge")),
        strict=True,
    )
    how = (
        "at the best ridge" if setup.kernel.ridge_choice == "best" else "at the ridge cross-validation chooses of those"
    )
    lines = tuple(
        (str(n), measured(mse, error=error), f"{ridge:g}", measured(kappa)) for n, mse, error, ridge, kappa in rows
    )
    return Sheet(columns, lines, (f"test error on noisy labels, {how} offered",))
