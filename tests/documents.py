"""The study file that the tests of reading and of the command line start from."""

from __future__ import annotations

TOML = """
schema = 1
title = "Two steps"
observable = "weights"
[network]
activation = "tanh(x + 7/10)"
[data]
target = "tanh(x)"
[sizes]
width_ratio = 1
sample_ratio = 1
width = [40, 60]
[training]
batches = "reused"
alpha = ["3/10", "3/10"]
scale = [2, 6]
[theory]
tolerance = 1e-6
[montecarlo]
trials = 3
seed = 5
"""


def toml(**values: str | int) -> str:
    """The study with other values, as they are written in the file, by the last part of their keys."""
    lines = TOML.splitlines()
    for name, value in values.items():
        (place,) = (index for index, line in enumerate(lines) if line.startswith(f"{name} = "))
        lines[place] = f"{name} = {value}"
    return "\n".join(lines) + "\n"
