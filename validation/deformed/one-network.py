"""One network at a time: predictions from its own second layer and batch, and from either law, beside its simulation.

Prints the table that lies beside it. Each network's second layer and batch are drawn from a seed and handed over as
files, as a study would; simulated is the mean over first layers W_0, which is all that is left to be drawn.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from numpy.random import SeedSequence, default_rng

from rmtfl import study
from rmtfl.links import parse
from rmtfl.montecarlo.weights import trial
from rmtfl.setup import Setup
from rmtfl.weights import predict

WIDTH = 1000  # N = d = n
NETWORKS, FIRST_LAYERS = 3, 3
SEED = 20260623
CASES = (
    ("tanh(x + 7/10)", "tanh(x)", 1),
    ("tanh(x + 7/10)", "relu(x)", 1),
    ("tanh(x + 7/10)", "relu(x)", 2),
    ("relu(x)", "tanh(x)", 2),
)


def write(folder: Path, target: str, seed: SeedSequence) -> None:
    """The second layer and the batch of one network, as files."""
    rng = default_rng(seed)
    np.save(folder / "second-layer.npy", rng.standard_normal(WIDTH))
    inputs = rng.standard_normal((WIDTH, WIDTH))
    np.savez(folder / "batch.npz", X=inputs, y=parse(target).numpy()(inputs[:, 0].copy()))


def setting(folder: Path, activation: str, target: str, steps: int, given: tuple[str, ...]) -> Setup:
    """Steps of s = 1 on one batch; what is given is read from the folder, the rest drawn from its law."""
    layer = {"second_layer": "file:second-layer.npy"} if "second layer" in given else {}
    batch = {"batch": "file:batch.npz"} if "batch" in given else {}
    tables = {
        "schema": 1,
        "observable": "weights",
        "network": {"activation": activation} | layer,
        "data": {"target": target} | batch,
        "sizes": {"width_ratio": 1, "sample_ratio": 1, "width": WIDTH},
        "training": {"batches": "reused", "alpha": ["1/2"] * steps, "scale": [1] * steps},
        "theory": {"bulk": "deformed"},
    }
    setup: Setup = study.from_document(tables, folder / "study.toml").rows[0].setup
    return setup


def locations(setup: Setup) -> list[float]:
    """The outliers predicted, descending."""
    return [float(outlier.location) for outlier in predict(setup).outliers]


def main() -> None:
    """Print the table."""
    print("| activation | target | steps | network | outlier | simulated | typical | own layer | own layer and batch |")
    print("| --- | --- | --: | --: | --: | --: | --: | --: | --: |")
    for number, (activation, target, steps) in enumerate(CASES):
        annealed: list[float] | None = None
        for network, seed in enumerate(SeedSequence(SEED, spawn_key=(number,)).spawn(NETWORKS), 1):
            drawn, *first_layers = seed.spawn(1 + FIRST_LAYERS)
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                write(folder, target, drawn)
                own = setting(folder, activation, target, steps, ("second layer", "batch"))
                trained = np.array([trial(own, seed)["singular_values"] for seed in first_layers])
                annealed = annealed or locations(setting(folder, activation, target, steps, ()))
                layer = locations(setting(folder, activation, target, steps, ("second layer",)))
                both = locations(own)
            for k, found in enumerate(zip(annealed, layer, both, strict=False)):
                mean, error = trained[:, k].mean(), trained[:, k].std(ddof=1) / np.sqrt(FIRST_LAYERS)
                gaps = " | ".join(f"{100 * (location / mean - 1):+.1f} %" for location in found)
                simulated = f"{mean:.3f} ± {error:.3f}"
                print(
                    f"| `{activation}` | `{target}` | {steps} | {network} | {k + 1} | {simulated} | {gaps} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
