"""The simulated spectrum of a kernel: its functions, its eigenvalues where they are known, and its way to a verdict."""

import math

import numpy as np
import pytest

from rmtfl.compare import judge
from rmtfl.kernel.compare import kernel_quantities
from rmtfl.kernel.prediction import predict_kernel
from rmtfl.montecarlo import galerkin
from rmtfl.montecarlo.kernel import inputs
from rmtfl.study import from_document


def row(activation="relu(x)", spike=10.0, law="sphere", dimension=20, degrees=(0, 1)):
    kernel = {
        "inputs": law,
        "dimension": dimension,
        "isotropic": 1,
        "spike": spike,
        "degrees": list(degrees),
        "modes": 3,
    }
    document = {"schema": 1, "observable": "kernel", "network": {"activation": activation}, "kernel": kernel}
    return from_document(document).rows[0].setup


def draws(setup, trials, seed=3):
    found = [galerkin.trial(setup, own) for own in np.random.SeedSequence(seed).spawn(trials)]
    return {name: np.array([draw[name] for draw in found]) for name in found[0]}


@pytest.mark.parametrize("degree", [0, 1])
@pytest.mark.parametrize("law", ["sphere", "gaussian"])
def test_functions_are_orthonormal(law, degree):
    x = inputs(law, 100_000, 12, np.random.default_rng(1))
    for values in galerkin.functions(x, degree, law):
        products = values[:, :, None] * values[:, None, :]
        error = products.std(axis=0) / math.sqrt(x.shape[0])
        gap = np.abs(products.mean(axis=0) - np.eye(values.shape[1]))
        assert np.all(gap < 5 * error + 1e-10)  # the constant has no error


@pytest.mark.parametrize("law", ["sphere", "gaussian"])
def test_a_kernel_within_the_span_is_exact(law):
    # σ = x: the kernel is <x, Γx'>/d, of the eigenvalues (A + B)/d once and A/d for every other direction.
    found = draws(row("x", law=law), 2)
    np.testing.assert_allclose(found["eigenvalues"][:, 0, 0], 11 / 20, rtol=1e-10)
    np.testing.assert_allclose(found["mixing"][:, 0, 1], 1, rtol=1e-10)
    # Across the target the harmonics are averaged over the sample's angles, which is exact in the mean alone.
    np.testing.assert_allclose(found["eigenvalues"][:, 1, 0], 1 / 20, rtol=0.05)


@pytest.mark.parametrize(
    ("activation", "law", "spike"), [("relu(x)", "sphere", 10.0), ("erf(x + 7/10)", "gaussian", 5.0)]
)
def test_correct_predictions_agree_and_wrong_ones_do_not(activation, law, spike):
    setup = row(activation, spike, law)
    document, simulated = predict_kernel(setup).as_json(), draws(setup, 4)
    judged = [quantity for quantity in kernel_quantities(setup, document, simulated) if quantity.judged]
    assert len(judged) == 3
    assert {judge(quantity, 3).verdict for quantity in judged} == {"agrees"}
    for block in document["blocks"]:
        block["eigenvalues"] = [1.05 * value for value in block["eigenvalues"]]
    wrong = [quantity for quantity in kernel_quantities(setup, document, simulated) if quantity.judged]
    assert [judge(quantity, 3).verdict for quantity in wrong] == ["disagrees", "disagrees", "agrees"]


def test_a_spike_beyond_the_harmonics_widens_the_allowance():
    setup = row("erf(x)", 2000.0)
    document, simulated = predict_kernel(setup).as_json(), draws(setup, 3)
    first = next(kernel_quantities(setup, document, simulated))
    assert first.allowance > 0.05 * first.prediction
    assert judge(first).verdict == "agrees"


def test_without_the_mixing_nothing_is_judged():
    setup = row(degrees=(1, 2))
    found = list(kernel_quantities(setup, predict_kernel(setup).as_json(), draws(setup, 1)))
    assert [quantity.name for quantity in found] == ["degree 1, eigenvalue 1", "degree 1, eigenvalue 2"]
    assert not any(quantity.judged for quantity in found)
    assert galerkin.memory(setup) < galerkin.memory(row(dimension=10**6))
