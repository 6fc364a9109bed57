"""The finite width against a slow independent computation, and its errors against what they bound."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest

from rmtfl.errors import ToleranceNotMet
from rmtfl.gaussian import hermite_coefficient
from rmtfl.weights import finite_width, predict
from rmtfl.weights.finite_width import finite_rank
from tests.reference import Sizes
from tests.reference import finite_rank as reference
from tests.weights.setups import setup

BOTH = ("reused", "independent")
CASES = {
    "smooth": {},
    "correlation loss": {"loss": "correlation"},
    "rademacher": {"second_layer": "rademacher"},
    "uniform, wide and long": {"second_layer": "uniform", "ratios": (2, 2)},
    "narrow and long, target with a mean": {"target": "tanh(x) + 1/2", "ratios": ("1/4", 2)},
    "softplus, small noise": {"activation": "softplus(x)", "noise": "3/10", "scale": (1, 3)},
    "target jumps": {"target": "sign(x - 1/2)", "scale": (1, 6)},
    "relu": {"activation": "relu(x)"},
    "relu, uniform, correlation": {"activation": "relu(x)", "second_layer": "uniform", "loss": "correlation"},
    "relu, rademacher, even target": {"activation": "relu(x)", "second_layer": "rademacher", "target": "abs(x)"},
    "clip, kinked target": {"activation": "clip(x, -1, 1)", "target": "relu(x)", "second_layer": "uniform"},
    "second step alone": {"scale": ("1/1000", 6)},
}
# Measured: at most 4e-6 in strength and 1e-6 in overlap, the error of the reference (its panels and its 58 nodes in z).
STRENGTH, OVERLAP = 2e-5, 5e-6
FEWER = Sizes(second_layer=26, target=44, direction=18, noise=5, neuron=34, specific=16)
FINEST = 1e-10


@pytest.mark.parametrize("batches", BOTH)
@pytest.mark.parametrize("case", CASES)
def test_against_the_definition(case, batches):
    problem = setup(batches=batches, **CASES[case])
    found = finite_rank(problem, 1e-6)
    strengths, overlaps = reference(problem, FEWER if problem.data.noise else Sizes())
    large = found.strengths >= 0.02 * found.strengths[0]
    count = int(large.sum())
    np.testing.assert_allclose(found.strengths[large], strengths[:count], rtol=STRENGTH)
    np.testing.assert_allclose(found.overlaps[large], overlaps[:count], atol=OVERLAP)


def random_setups(count):
    rng = np.random.default_rng(11)
    smooth = ["tanh(x + 7/10)", "tanh(x)", "softplus(x)", "gelu(x)", "x", "sin(x + 1)", "sigmoid(2*x)"]
    kinked = ["relu(x)", "abs(x)", "leaky_relu(x, 1/10)", "relu(x - 1/3)"]
    targets = ["tanh(x)", "relu(x)", "sign(x)", "sin(2*x)", "tanh(x) + 1/2", "He2(x)", "x", "erf(x)*x"]
    for index in range(count):
        batches = BOTH[index % 2]
        activation = str(rng.choice(kinked if index % 4 == 0 else smooth))
        yield {
            "activation": activation,
            "target": str(rng.choice(targets)),
            "batches": batches,
            "loss": str(rng.choice(["squared", "correlation"])),
            "second_layer": str(rng.choice(["gaussian", "rademacher", "uniform"])),
            "noise": str(rng.choice(["0", "0", "3/10"])),
            "width": int(rng.choice([200, 2000, 10**6])),
            "ratios": (str(rng.choice(["1/2", "1", "2"])), str(rng.choice(["1/2", "1", "2"]))),
            "scale": (str(rng.choice(["1/2", "1", "2"])), str(rng.choice(["1", "6"]))),
            "alpha": (str(rng.choice(["0", "1/10", "3/10"])), str(rng.choice(["1/10", "3/10", "2/5"]))),
        }


TOLERANCES = (1e-4, 1e-6, 1e-8)


@pytest.mark.parametrize("changes", list(random_setups(36)), ids=lambda c: f"{c['activation']}, {c['target']}"[:30])
def test_errors_bound_what_refinement_changes(changes):
    problem = setup(**changes)
    try:
        fine = finite_rank(problem, FINEST)
    except ToleranceNotMet:
        fine = finite_rank(problem, TOLERANCES[-1])
    for tolerance in TOLERANCES:
        coarse = finite_rank(problem, tolerance)
        assert coarse.meets(tolerance)
        count = min(coarse.strengths.size, fine.strengths.size)
        off = np.abs(coarse.strengths[:count] - fine.strengths[:count])
        assert np.all(off <= coarse.strength_errors[:count] + fine.strength_errors[:count])
        off = np.abs(coarse.overlaps[:count] - fine.overlaps[:count])
        assert np.all(off <= coarse.overlap_errors[:count] + fine.overlap_errors[:count])


@pytest.mark.parametrize("batches", BOTH)
def test_errors_of_the_outliers_bound_what_refinement_changes(batches):
    coarse, fine = (predict(setup(batches=batches, tolerance=tolerance)) for tolerance in (1e-3, 1e-9))
    assert len(coarse.outliers) == len(fine.outliers) == 2
    for rough, exact in zip(coarse.outliers, fine.outliers, strict=True):
        assert abs(rough.location - exact.location) <= rough.error + exact.error
        assert abs(rough.alignment - exact.alignment) <= rough.error + exact.error


@pytest.mark.parametrize("law", ["gaussian", "rademacher", "uniform"])
@pytest.mark.parametrize(
    ("activation", "target"), [("tanh(x + 7/10)", "tanh(x)"), ("relu(x)", "sign(x)"), ("x", "He3(x)")]
)
def test_one_step_in_closed_form(activation, target, law):
    problem = setup(activation, target, alpha=["2/5"], scale=[3], noise="3/10", ratios=(1, 2), second_layer=law)
    found = finite_rank(problem, 1e-8)
    mu1 = hermite_coefficient(problem.network.activation, 1).value
    c1 = hermite_coefficient(problem.data.target, 1).value
    m2 = {"tanh(x)": None, "sign(x)": 1.0, "He3(x)": 6.0}[target]
    if m2 is None:
        x = np.linspace(-12, 12, 4001)
        m2 = np.tanh(x) ** 2 @ np.exp(-(x**2) / 2) * (x[1] - x[0]) / math.sqrt(2 * math.pi)
    tau = math.sqrt(c1**2 + (m2 + 0.09) / 2)
    assert found.strengths == pytest.approx([3 * 2000**0.4 * abs(mu1) * tau], rel=1e-12)
    assert found.overlaps == pytest.approx([(c1 / tau) ** 2], abs=1e-12)


@pytest.mark.parametrize("batches", BOTH)
def test_a_second_step_of_next_to_nothing_leaves_the_first(batches):
    one = finite_rank(setup(batches=batches, alpha=["3/10"], scale=[2]), 1e-8)
    two = finite_rank(setup(batches=batches, scale=[2, "1/1000000000"]), 1e-6)
    assert two.strengths[0] == pytest.approx(one.strengths[0], rel=1e-8)
    assert two.overlaps[0] == pytest.approx(one.overlaps[0], rel=1e-8)


def test_linear_networks_have_one_spike():
    """σ(x) = x: every neuron moves along a times one vector."""
    for batches in BOTH:
        assert finite_rank(setup("x", batches=batches, loss="correlation"), 1e-8).strengths.size == 1


def test_signs_leave_two_spikes():
    found = finite_rank(setup(second_layer="rademacher", alpha=["2/5", "2/5"]), 1e-8)
    assert found.strengths.size == 2


UNREACHABLE = [
    {"activation": "exp(x/2)", "target": "He3(x)"},
    {"activation": "tanh(x)", "target": "He5(x)"},
    {"activation": "relu(x)**2", "tolerance": 1e-13},
]


@pytest.mark.parametrize("changes", UNREACHABLE, ids=lambda c: c["activation"])
def test_what_is_out_of_reach_is_admitted_soon(changes):
    start = time.perf_counter()
    with pytest.raises(ToleranceNotMet, match=r"tolerance"):
        predict(setup(**changes))
    assert time.perf_counter() - start < 60  # twenty seconds on an idle core


def test_two_levels_that_agree_by_accident_are_not_believed(monkeypatch):
    found = iter([10.1, 10.0005, 10.0005, 10.0, 10.0, 10.0])
    monkeypatch.setattr(finite_width, "decompose", lambda *_: (np.array([next(found)]), np.array([0.5])))
    assert finite_rank(setup(), 1e-6).strengths == [10.0]
