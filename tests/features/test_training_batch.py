"""The conjugate kernel on the batch of a step, where its theory has nothing left out."""

import numpy as np
import pytest
from numpy.random import SeedSequence

from rmtfl.features.prediction import predict
from rmtfl.montecarlo.features import trial
from tests.features.cases import row


@pytest.mark.parametrize(("ratio", "scale"), [(1, 3), ("1/2", 4)])
def test_a_linear_layer(ratio, scale):
    # Then the update has no noise of its own; ā = ±1 leaves no fluctuation of Σ ā².
    setup = row(240, "x", "tanh(2*x)", (0,), (scale,), noise="1/2", sample_ratio=ratio, second_layer="rademacher")
    predicted = predict(setup).as_json()["training_batch"]["outliers"][0]["location"]
    seen = np.array([trial(setup, seed)["training_eigenvalues"][0] for seed in SeedSequence(11).spawn(16)])
    assert predicted == pytest.approx(seen.mean(), abs=3 * seen.std(ddof=1) / 4)
    assert seen.std() / 4 < 0.015 * predicted


def test_after_a_step_of_nothing_it_is_the_kernel_of_fresh_samples():
    setup = row(400, "x + (x**2 - 1)/2 + 1/2", "x", (0,), ("1/1000000",), width_ratio="1/2", samples=1)
    found = predict(setup)
    (batch,) = found.as_json()["training_batch"]["outliers"][:1]
    assert batch["location"] == pytest.approx(found.outliers[0].location, rel=1e-5)
