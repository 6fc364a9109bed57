"""Both panels of figure 1 of arXiv 2605.17718 by simulation: writes simulated.json beside this file, in ten minutes.

Panel (a) at n = 1000 samples, panel (b) with label noise 1 and the best ridge of the list, as in predict.py.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from predict import DIMENSIONS, KERNELS, MIXING, RIDGES, SIZES, TARGET

from rmtfl.kernel.table import KernelMatrixSetup, LearningCurveSetup
from rmtfl.montecarlo.kernel import matrix_trial, regression_trial

SAMPLES, DRAWS, LARGE, LARGE_DRAWS = 1000, 10, 3200, 3
SEED = 20260521


def mean(values: list[float]) -> list[float]:
    """Mean and its standard error."""
    return [round(float(np.mean(values)), 4), round(float(np.std(values, ddof=1) / np.sqrt(len(values))), 4)]


def kernel(dimension: int, isotropic: float, spike: float) -> dict[str, object]:
    """The [kernel] table that both panels share."""
    return {"inputs": "gaussian", "dimension": dimension, "isotropic": isotropic, "spike": repr(spike)}


def main() -> None:
    """Simulate both panels."""
    network = {"activation": "relu(x)"}
    panel_a = []
    for power in MIXING:
        row = []
        for d in DIMENSIONS:
            table = kernel(d, 1.2, 5 * d**power) | {"samples": SAMPLES}
            setup = KernelMatrixSetup.model_validate({"network": network, "kernel": table})
            seeds = np.random.SeedSequence([SEED, d]).spawn(DRAWS)
            row.append(mean([matrix_trial(setup, seed)["harmonics"][0, 2] for seed in seeds]))
        panel_a.append({"p": power, "simulated": row})
    panel_b = []
    for name, (isotropic, spike) in KERNELS.items():
        row = []
        for n in SIZES:
            table = kernel(300, isotropic, spike) | {"samples": n, "ridge": RIDGES}
            data = {"target": TARGET, "noise": 1}
            setup = LearningCurveSetup.model_validate({"network": network, "kernel": table, "data": data})
            seeds = np.random.SeedSequence([SEED, n]).spawn(LARGE_DRAWS if n == LARGE else DRAWS)
            errors = np.array([regression_trial(setup, seed)["mse"][0] for seed in seeds])
            row.append(mean(errors[:, errors.mean(axis=0).argmin()].tolist()))
        panel_b.append({"kernel": name, "simulated": row})
    document = {"panel_a": panel_a, "panel_b": panel_b}
    Path(__file__).with_name("simulated.json").write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
