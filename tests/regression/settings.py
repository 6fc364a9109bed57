"""Settings of feature-regression studies for the tests."""

from __future__ import annotations

from typing import Any

from rmtfl.regression.table import RegressionSetup


def setting(**changed: Any) -> RegressionSetup:
    """A small study, with keys such as `target`, `alpha` or `ridge` changed."""
    values = {
        "activation": "tanh(x)",
        "second_layer": "gaussian",
        "target": "x",
        "noise": 0.3,
        "width_ratio": 1,
        "batch_ratio": 1,
        "width": 400,
        "batches": "reused",
        "loss": "squared",
        "alpha": ["1/4"],
        "scale": [3],
        "sample_ratio": [0.5, 2],
        "ridge": 0.1,
        "tolerance": 1e-3,
    } | changed
    return RegressionSetup.model_validate(
        {
            "network": {key: values[key] for key in ("activation", "second_layer")},
            "data": {key: values[key] for key in ("target", "noise")},
            "sizes": {
                "width_ratio": values["width_ratio"],
                "sample_ratio": values["batch_ratio"],
                "width": values["width"],
            },
            "training": {key: values[key] for key in ("batches", "loss", "alpha", "scale")},
            "regression": {key: values[key] for key in ("sample_ratio", "ridge")},
            "theory": {"tolerance": values["tolerance"]},
        }
    )
