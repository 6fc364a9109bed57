"""He3(x) to below 1 %: networks of both batch modes from common seeds, freed of how large their labels happened to be.

Run as it stands: python validation/feature-regression/exponent_three.py DRAWS.npz TRIALS draws as many trials as the
file lacks (4 s each on one core), keeps them there, and prints predicted against simulated test errors, in per cent, of
exponent-three.toml. Networks after no step and one are the same in both modes; labels of the regressions and of the
batches are controls (rmtfl.regression.controls). At least 40 trials: controls need them.
"""

import sys
from pathlib import Path

import numpy as np
from numpy.random import SeedSequence
from numpy.typing import NDArray

from rmtfl.montecarlo.regression import trial
from rmtfl.regression.controls import controlled
from rmtfl.regression.prediction import predict
from rmtfl.study import read

Array = NDArray[np.float64]

SEED = 1777


def main(path: Path, trials: int) -> None:
    """Draw what is missing, and print the table."""
    setups = {
        row.setup.training.batches: row.setup for row in read(Path(__file__).with_name("exponent-three.toml")).rows
    }
    draws = dict(np.load(path)) if path.exists() else {}
    for k in range(len(draws["mse"]) if draws else 0, trials):
        found = both(setups, SeedSequence(SEED, spawn_key=(0, k)))
        draws = {name: np.concatenate([draws[name], [new]]) if draws else new[None] for name, new in found.items()}
        np.savez(path, **draws)
    predicted = {name: np.array([c.mse for c in predict(setup).curves]) for name, setup in setups.items()}
    table = setups["reused"].regression
    shape = (3, len(table.ridge), len(table.sample_ratio))
    places = [("no step", 0, 0), ("1 step", 1, 1), ("2 steps, independent", 2, 2), ("2 steps, reused", 2, 3)]
    ratios = [float(ratio) for ratio in table.sample_ratio]
    print("| steps | ridge | " + " | ".join(f"{ratio:g} d" for ratio in ratios) + " |")
    print("| --- | ---: |" + " ---: |" * len(ratios))
    for name, step, place in places:
        mode = "reused" if place == 3 else "independent"
        for j, ridge in enumerate(table.ridge):
            cells = []
            for i, theory in enumerate(predicted[mode].reshape(shape)[step, j]):
                seen = [i, *range(len(ratios), len(ratios) + (2 if place == 2 else min(step, 1)))]
                sample = controlled(draws["mse"][:, place, j, i], draws["excess"][:, seen])
                mean, error = sample.mean(), sample.std(ddof=1) / np.sqrt(sample.size)
                cells.append(f"{100 * (theory / mean - 1):+.2f} ± {100 * error / mean:.2f}")
            print(f"| {name} | {float(ridge):g} | " + " | ".join(cells) + " |")


def both(setups, seed: SeedSequence) -> dict[str, Array]:
    """Test errors after no step, one, and two on either kind of batch, and how large all labels were."""
    found = {name: trial(setup, seed) for name, setup in setups.items()}
    mse = np.concatenate([found["independent"]["mse"], found["reused"]["mse"][2:]])
    return {"mse": mse, "excess": found["independent"]["excess"]}


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
