"""The published values of the notebook of arXiv 2402.04980, and what separates them from the prediction.

Run as it stands: python validation/feature-regression/published.py. The notebook's equations differ from those of
theory/feature-regression.md in three places: its rows all have one norm, which is another one, and no linear part along
the spike.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from rmtfl.features.neurons import Neurons
from rmtfl.regression.batches import Batches
from rmtfl.regression.equivalents import Regression
from rmtfl.regression.features import features
from rmtfl.regression.layer import Layer, layer
from rmtfl.study import read
from rmtfl.weights.statistics import statistics

PUBLISHED = {0.2: 0.048595, 0.9: 0.043118, 1.6: 0.038072, 2.3: 0.035112, 3.0: 0.033340}
RIDGE = 0.1
WIDTH = 2000  # and the dimension: the notebook's


def main() -> None:
    """Print the table."""
    setup = read(Path(__file__).parent / "published.toml").rows[0].setup.trained(1)
    trained, stats = layer(setup, 2, 0), statistics(setup)
    step = setup.training.step_size(0, setup.sizes.width)
    neurons = trained.neurons
    smaller = replace(neurons, spread=np.full(2, np.sqrt(1 + (step * stats.specific * stats.mu1) ** 2)))
    across = np.array([-stats.perpendicular, stats.c1]) / stats.tau  # of the spike b, in the plane of β and b
    rows = {"published": list(PUBLISHED.values())}
    for name, layer_, cut in (
        ("prediction", trained, False),
        ("rows of one norm", alike(neurons), False),
        ("rows of the notebook's norm", alike(smaller), False),
        ("one norm, no linear part along the spike", alike(neurons), True),
        ("the notebook's norm, no linear part", alike(smaller), True),
    ):
        found = features(setup.network.activation, setup.data.target, layer_, 1.0, 1e-5)
        if cut:
            coordinates, kept = (across @ found.coordinates)[None], found.fluctuation[:, 1:, 1:]
            found = replace(found, coordinates=coordinates, fluctuation=kept)
        rows[name] = curve(Regression(found, stats.noise, WIDTH, stats.psi))
    print(f"| {'samples / d':40}| " + " | ".join(f"{ratio:18g}" for ratio in PUBLISHED) + " |")
    print("| --- |" + " --- |" * len(PUBLISHED))
    for name, values in rows.items():
        cells = (f"{v:.5f} ({v / p - 1:+8.2%})" for v, p in zip(values, PUBLISHED.values(), strict=True))
        print(f"| {name:40}| " + " | ".join(cells) + " |")


def alike(neurons: Neurons) -> Layer:
    """Rows that do not differ in their norm, and are isotropic in the plane of β and b."""
    fluctuation = np.zeros((2, 3, 3))
    fluctuation[:, :2, :2] = neurons.spread[:, None, None] ** 2 * np.eye(2)
    rows = Batches(neurons.spread**2, np.empty((0, 2)), np.ones(1), np.ones(1), 1.0)
    return Layer(neurons, fluctuation, rows)


def curve(regression: Regression) -> list[float]:
    """Test errors at the published sample ratios."""
    samples = [ratio * WIDTH for ratio in PUBLISHED]
    return [regression.errors(n, regression.resolvent(n, RIDGE)).mse for n in samples]


if __name__ == "__main__":
    main()
