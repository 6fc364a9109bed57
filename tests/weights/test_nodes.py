"""Nodes that stand for a batch: moments that they have exactly."""

import numpy as np
import pytest

from rmtfl.weights.deformed import two_steps
from tests.weights.setups import setup


@pytest.mark.parametrize("target", ["relu(x)", "x + x**2", "tanh(x)"])
def test_noise_adds_its_variance_to_the_labels_and_nothing_else(target):
    clean = setup(target=target, batches="independent", bulk="deformed")
    noisy = setup(target=target, batches="independent", noise="3/10", bulk="deformed")
    z, g, y = two_steps.lattice(noisy, two_steps.FINE)
    assert [z.mean(), g.mean(), (z * z).mean(), (g * g).mean()] == pytest.approx([0, 0, 1, 1], abs=1e-12)
    without = clean.data.target.numpy()(z)
    assert y.mean() == pytest.approx(without.mean(), abs=1e-12)
    assert np.mean(y * y) == pytest.approx(np.mean(without * without) + 0.09, rel=1e-12)
