"""The drift of a feature outlier at finite size: one step of order one, against the limit and the resummed form.

Prints the table that lies beside it. What each simulated outlier owes to the mean of ā² in its draw is regressed out:
that is most of the noise, and none of the drift.
"""

from __future__ import annotations

import numpy as np
from numpy.random import SeedSequence

from rmtfl.features.prediction import predict
from rmtfl.features.table import FeaturesSetup
from rmtfl.montecarlo import weights
from rmtfl.montecarlo.features import trial
from rmtfl.statistics import fit_power_law

WIDTHS = {64: 600, 128: 300, 256: 120, 512: 40}
STEPS = (2, 6, 12)


def setting(width: int | str, eta: int) -> FeaturesSetup:
    """That of arXiv 2402.10127, figure 3(b), n = d, at another width and total step."""
    return FeaturesSetup.model_validate(
        {
            "network": {"activation": "tanh(x)"},
            "data": {"target": "softplus(x)"},
            "sizes": {"width_ratio": "1/2", "sample_ratio": 1, "width": width},
            "training": {"batches": "independent", "alpha": [0], "scale": [eta]},
            "features": {"samples": 1, "centre": True},
        }
    )


def measure(width: int, eta: int, count: int) -> tuple[float, float]:
    """Mean outlier and its standard error, with the fluctuation of E ā² regressed out."""
    setup, values, squares = setting(width, eta), [], []
    for seed in SeedSequence(20260604, spawn_key=(width, eta)).spawn(count):
        values.append(trial(setup, seed)["eigenvalues"][0])
        squares.append(np.mean(weights.stream(seed, 0).standard_normal(width) ** 2))
    y, x = np.array(values), np.array(squares) - 1.0
    slope = np.cov(x, y)[0, 1] / np.var(x, ddof=1)
    rest = y - slope * x
    return float(rest.mean()), float(rest.std(ddof=2) / np.sqrt(count))


def main() -> None:
    """Print the table."""
    print("| total step | N | limit | resummed | simulated | limit off by / % | resummed off by / % |")
    print("| ---------: | --: | --: | --: | --: | --: | --: |")
    lines = []
    for eta in STEPS:
        limit = predict(setting("limit", eta)).outliers[0].location
        gaps, errors = [], []
        for width, count in WIDTHS.items():
            resummed = predict(setting(width, eta)).outliers[0].location
            mean, error = measure(width, eta, count)
            gaps.append(limit / mean - 1)
            errors.append(limit * error / mean**2)
            print(
                f"| {eta} | {width} | {limit:.2f} | {resummed:.2f} | {mean:.2f} ± {error:.2f} "
                f"| {100 * gaps[-1]:.1f} | {100 * (resummed / mean - 1):.1f} |"
            )
        fit = fit_power_law(list(WIDTHS), gaps, errors, sum(WIDTHS.values()))
        lower, upper = ("?" if end is None else f"{end:.2f}" for end in (fit.lower, fit.upper))
        best = "not resolved" if fit.rate is None else f"N^(-{fit.rate:.2f})"
        lines.append(f"total step {eta}: the gap of the limit falls as {best}, rate {lower} to {upper} at 95%")
    print("\n" + "\n\n".join(lines))


if __name__ == "__main__":
    main()
