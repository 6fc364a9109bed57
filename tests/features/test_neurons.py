"""Neurons after one step, against rows that are drawn and moved."""

import numpy as np
import pytest

from rmtfl.features.neurons import trained
from tests.features.cases import row

BATCHES, ROWS = 12, 150


def moved(step, d, n, rng):
    """‖w₁‖² − ‖w₀‖², averaged over relu neurons that a batch of relu labels has moved."""
    inputs = rng.standard_normal((n, d))
    labels = np.maximum(inputs[:, 0], 0.0)
    before = rng.standard_normal((ROWS, d)) / np.sqrt(d)
    after = before + step * (labels * (before @ inputs.T > 0)) @ inputs / n
    return ((after**2).sum(axis=1) - (before**2).sum(axis=1)).mean()


@pytest.mark.parametrize("sign", [1, -1])
def test_norms_of_rows_after_one_step(sign):
    # A label with a mean and a σ' that is correlated with its preactivation stretch a row, or shrink it where ā < 0.
    width = 300
    setup = row(width, "relu(x)", "relu(x)", (0,), (10,), second_layer="rademacher", sample_ratio=2, loss="correlation")
    neurons = trained(setup.trained)
    (place,) = np.flatnonzero(np.sign(neurons.a) == sign)
    growth = neurons.mean[place] @ neurons.mean[place] + neurons.spread[place] ** 2 - 1
    step = sign * setup.training.step_size(0, width)
    rng = np.random.default_rng(5)
    seen = [moved(step, width, 2 * width, rng) for _ in range(BATCHES)]
    assert growth == pytest.approx(np.mean(seen), abs=4 * np.std(seen, ddof=1) / np.sqrt(BATCHES))
    assert np.std(seen) < 0.1 * abs(growth)
