"""The conjugate kernel on the batch of a step: what a sample of it knows, and the limit of no step."""

import numpy as np
import pytest

from rmtfl.features.neurons import FINE
from rmtfl.features.prediction import predict
from rmtfl.features.training_batch import training_batch
from rmtfl.weights.statistics import statistics
from tests.features.cases import row


def test_coordinates_of_samples_of_the_batch():
    # ⟨x_j, u⟩ along u = b^⊥/‖b^⊥‖, b = X^T y/n, against drawn batches: its mean square, and its product with the label.
    setup = row(400, target="tanh(x) + 1/4", noise="1/4", sample_ratio="3/2").trained
    stats, (d, n) = statistics(setup), (setup.sizes.dimension, setup.sizes.samples)
    found = training_batch(setup, stats, FINE)  # its functions of a sample end with z/√d, ⟨x, u⟩/√d and 1
    predicted = np.array([found.gram[-2, -2] * d / n, found.label[-2] * np.sqrt(d / n)])
    rng, seen = np.random.default_rng(4), []
    for _ in range(60):
        x = rng.standard_normal((n, d))
        y = np.tanh(x[:, 0]) + 0.25 + 0.25 * rng.standard_normal(n)
        b = x.T @ y / n
        along = x[:, 1:] @ b[1:] / np.linalg.norm(b[1:])
        seen.append([np.mean(along**2), np.mean(along * y)])
    error = np.std(seen, axis=0, ddof=1) / np.sqrt(len(seen))
    assert np.all(np.abs(np.mean(seen, axis=0) - predicted) < 4 * error + 3 / n), (
        np.mean(seen, axis=0),
        predicted,
        error,
    )


def test_after_a_step_of_nothing_it_is_the_kernel_of_fresh_samples():
    setup = row(400, "x + (x**2 - 1)/2 + 1/2", "x", (0,), ("1/1000000",), width_ratio="1/2", samples=1)
    found = predict(setup)
    (batch,) = found.as_json()["training_batch"]["outliers"][:1]
    assert batch["location"] == pytest.approx(found.outliers[0].location, rel=1e-5)
