"""Nodes that stand for a batch: moments that they have exactly."""

import numpy as np
import pytest

from rmtfl.weights.deformed import nodes, one_step, two_steps
from rmtfl.weights.statistics import statistics
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


def test_samples_are_longer_along_the_direction_that_they_make():
    # u = b^⊥/‖b^⊥‖, b = X^T y/n: a sample's own part in b adds φ to E ⟨x, u⟩², and correlates it with its label.
    case = setup(width=400, batches="independent", alpha=("3/10",), scale=(2,), bulk="deformed")
    stats, n, d = statistics(case), 400, 400
    labels = nodes.labels(case, n, nodes.GROWTH)
    batch = one_step.label_batch(labels, stats.perpendicular, np.arange(2))
    predicted = np.array([labels.weight @ batch.second[:, 1, 1], labels.weight @ (labels.y**2 * batch.second[:, 1, 1])])
    rng, seen = np.random.default_rng(2), []
    for _ in range(60):
        x = rng.standard_normal((n, d))
        y = np.tanh(x[:, 0])
        b = x.T @ y / n
        b[0] = 0
        squares = (x @ b) ** 2 / (b @ b)
        seen.append([squares.mean(), (y * y * squares).mean()])
    error = np.std(seen, axis=0, ddof=1) / np.sqrt(len(seen))
    assert np.all(np.abs(np.mean(seen, axis=0) - predicted) < 4 * error + 3 / n), (
        np.mean(seen, axis=0),
        predicted,
        error,
    )


def test_merged_nodes_have_the_moments_of_what_they_merge():
    values = np.sort(np.random.default_rng(3).standard_normal(3000))
    merged, weight = nodes._merged(values, nodes.COARSE)
    assert merged.size < 300 and weight.sum() == pytest.approx(1, rel=1e-13)
    assert [weight @ merged, weight @ merged**2] == pytest.approx([values.mean(), np.mean(values**2)], rel=1e-12)
