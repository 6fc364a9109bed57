"""Rows of features studies for tests."""

from typing import Any

from rmtfl.features.table import FeaturesSetup


def row(
    width: int | str,
    activation: str = "tanh(x + 7/10)",
    target: str = "tanh(x)",
    alpha: tuple[object, ...] = ("3/10",),
    scale: tuple[object, ...] = (3,),
    **changes: Any,
) -> FeaturesSetup:
    """A row; `changes` are the keys of any table."""
    tables: dict[str, dict[str, Any]] = {
        "network": {"activation": activation, "second_layer": "gaussian"},
        "data": {"target": target, "noise": 0},
        "sizes": {"width_ratio": 1, "sample_ratio": 1, "width": width},
        "training": {"batches": "independent", "loss": "squared", "alpha": list(alpha), "scale": list(scale)},
        "features": {"samples": 1, "centre": False},
    }
    for key, value in changes.items():
        (table,) = (table for table in tables.values() if key in table)
        table[key] = value
    return FeaturesSetup.model_validate(tables)


def published(eta: object, samples: object, width: int | str = "limit") -> FeaturesSetup:
    """The setting of arXiv 2402.10127, figure 3(b), with n/d = samples."""
    return row(
        width,
        "tanh(x)",
        "softplus(x)",
        (0,),
        (eta,),
        width_ratio="1/2",
        sample_ratio=samples,
        samples=samples,
        centre=True,
    )
