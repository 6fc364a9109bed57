from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rmtfl.setup import Setup


def make_setup(
    *,
    activation: str = "tanh(x + 7/10)",
    target: str = "tanh(x)",
    second_layer: str = "gaussian",
    noise: Any = 0,
    width: int = 60,
    width_ratio: Any = 1,
    sample_ratio: Any = 1,
    batches: str = "reused",
    loss: str = "squared",
    alpha: tuple[str, ...] = ("3/10", "3/10"),
    scale: tuple[Any, ...] = (2, 6),
) -> Setup:
    return Setup.model_validate(
        {
            "network": {"activation": activation, "second_layer": second_layer},
            "data": {"target": target, "noise": noise},
            "sizes": {"width_ratio": width_ratio, "sample_ratio": sample_ratio, "width": width},
            "training": {"batches": batches, "loss": loss, "alpha": alpha, "scale": scale},
        }
    )


@pytest.fixture
def setup() -> Callable[..., Setup]:
    return make_setup
