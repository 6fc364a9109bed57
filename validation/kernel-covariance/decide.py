"""Which form of the spiked covariance a simulated training step has: writes forms.json beside this file.

Run it as a script with the package installed. Takes half a minute.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np

from rmtfl.kernel.covariance import covariance
from rmtfl.links import parse
from rmtfl.montecarlo.kernel import step_moments
from rmtfl.setup import Data

DRAWS, SEED, STEP = 400, 20260518, 1.0
# activation, target, noise, d, n, N: what each setting tells apart is in the report below.
SETTINGS = [
    ("relu(x)", "x", 0.0, 100, 100, 200, "neuron-specific noise: E σ'² against (E σ')²"),
    ("relu(x)", "2*x", 0.0, 100, 200, 200, "the activation's E σ' against the target's E g'"),
    ("relu(x)", "x + 3", 0.0, 100, 800, 200, "the mean of the target, through E σ''"),
    ("relu(x)", "x**2", 0.0, 60, 60, 200, "no linear part: the terms of order one in B"),
    ("tanh(x)", "exp(-x**2)", 0.0, 60, 30, 200, "a bump: S < 0"),
    ("tanh(x + 7/10)", "relu(x)", 0.5, 100, 100, 200, "all at once, with label noise"),
]


def main() -> None:
    """Simulate every setting, and record it beside each form."""
    rows = []
    for k, (activation, target, noise, d, n, width, tells) in enumerate(SETTINGS):
        seeds = np.random.SeedSequence([SEED, k]).spawn(DRAWS)
        link, goal = parse(activation), parse(target)
        drawn = np.array(
            [step_moments(link, goal, noise, STEP, width, d, n, np.random.default_rng(seed)) for seed in seeds]
        )
        mean, error = drawn.mean(axis=0), drawn.std(axis=0, ddof=1) / math.sqrt(DRAWS)
        data = Data(target=target, noise=noise)
        forms = {}
        for form in ("derived", "mean-gradient", "published"):
            found = covariance(link, data, STEP, d, n, form)
            forms[form] = {
                "A": round(found.isotropic, 4),
                "B": round(found.spike, 3),
                "z_A": round((found.isotropic - mean[0]) / error[0], 1),
                "z_B": round((found.spike - mean[1]) / error[1], 1),
                "S": round(found.curvature, 4),
            }
        rows.append(
            {
                "tells": tells,
                "activation": activation,
                "target": target,
                "noise": noise,
                "dimension": d,
                "samples": n,
                "A": [round(float(mean[0]), 4), round(float(error[0]), 4)],
                "B": [round(float(mean[1]), 3), round(float(error[1]), 3)],
                "forms": forms,
            }
        )
    document = {"step": STEP, "draws": DRAWS, "seed": SEED, "rows": rows}
    Path(__file__).with_name("forms.json").write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
