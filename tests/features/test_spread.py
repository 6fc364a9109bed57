"""The spread of rows after two steps, against another derivation that averages over lattices."""

import numpy as np
import pytest

from rmtfl.features.spread import _steps, _tabulated
from rmtfl.features.two_steps import rows
from rmtfl.links import parse
from rmtfl.weights.statistics import statistics
from tests.features.cases import row
from tests.features.lattice import norm_reused, square_independent

A = np.array([-1.3, -0.4, 0.7, 1.4])


@pytest.mark.parametrize("batches", ["independent", "reused"])
@pytest.mark.parametrize(
    ("activation", "target"), [("tanh(x)", "tanh(x)"), ("softplus(x)", "tanh(x) + 1/2"), ("relu(x)", "tanh(x) + 1/2")]
)
def test_rows(activation, target, batches):
    sizes = {"noise": "1/2", "samples": 1, "loss": "correlation", "batches": batches}
    setup = row(400, activation, target, ("1/4", "1/4"), (3, 6), **sizes).trained
    mean, spread = rows(setup, statistics(setup), A, 0)
    other = (norm_reused if batches == "reused" else square_independent)(setup, statistics(setup), A, 65536)
    found = spread**2 + ((mean**2).sum(axis=1) if batches == "reused" else 0)
    assert found == pytest.approx(other, rel=5e-3)  # of the lattices


@pytest.mark.parametrize("text", ["relu(x)", "abs(x) + x/3", "clip(x, -1, 1/2) + 2"])
def test_closed_forms_of_a_piecewise_linear_activation(text):
    link, mean = parse(text), np.random.default_rng(0).normal(size=(3, 40))
    assert _steps(link, mean, 0.3) == pytest.approx(_tabulated(link.derivative(), mean, 0.3), abs=1e-6)
