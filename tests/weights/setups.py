"""Setups of two steps, by their differences from one."""

from __future__ import annotations

from rmtfl.setup import Setup


def setup(
    activation="tanh(x + 7/10)",
    target="tanh(x)",
    *,
    batches="reused",
    loss="squared",
    second_layer="gaussian",
    noise=0,
    width=2000,
    ratios=(1, 1),
    alpha=("3/10", "3/10"),
    scale=(2, 6),
    **theory,
):
    """The quickstart, changed; ratios are (N/d, n/d)."""
    return Setup.model_validate(
        {
            "network": {"activation": activation, "second_layer": second_layer},
            "data": {"target": target, "noise": noise},
            "sizes": {"width_ratio": ratios[0], "sample_ratio": ratios[1], "width": width},
            "training": {"batches": batches, "loss": loss, "alpha": list(alpha), "scale": list(scale)},
            "theory": theory,
        }
    )
