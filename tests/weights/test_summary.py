"""What a reader of a prediction is told beside its numbers."""

from __future__ import annotations

import numpy as np
import pytest

from rmtfl.weights import predict
from rmtfl.weights.statistics import noise_variance
from rmtfl.weights.summary import summary
from tests.weights.setups import setup


def test_the_variance_of_the_updates_noise_is_that_of_a_drawn_step():
    case = setup("tanh(x)", "x", batches="independent", loss="correlation", width=400, alpha=("1/4",), scale=(4,))
    rng = np.random.default_rng(0)
    N = d = n = 400
    a, X = rng.standard_normal(N) / np.sqrt(N), rng.standard_normal((n, d))
    slope = 1 / np.cosh(X @ (rng.standard_normal((N, d)) / np.sqrt(d)).T) ** 2
    noise = 4 * N**0.25 * (a[:, None] * (X[:, 0] * (slope - slope.mean()).T)) @ X / n
    assert noise_variance(case) == pytest.approx(d * noise.var(), rel=0.15)


@pytest.mark.parametrize(
    ("scale", "bulk", "told"), [((8,), "rigid", True), ((1,), "rigid", False), ((8,), "deformed", False)]
)
def test_a_rigid_bulk_says_what_it_leaves_out(scale, bulk, told):
    case = setup("tanh(x)", "x", batches="independent", width=400, alpha=("1/4",), scale=scale, bulk=bulk)
    document = predict(case).as_json()
    notes = summary(case, document).notes
    assert any('theory.bulk = "deformed" takes it in' in note for note in notes) == told
    assert document["bulk_trusted"] is not told
    assert document["update_noise"] == pytest.approx(noise_variance(case))
