"""Every bad value of a kernel row is refused by its key, and A and B come from a training setup."""

import json

import numpy as np
import pytest
from pydantic import ValidationError

from rmtfl.errors import BadInput
from rmtfl.kernel.covariance import covariance
from rmtfl.kernel.isotropic import isotropic_eigenvalues
from rmtfl.kernel.prediction import predict_kernel, predict_kernel_matrix, predict_learning_curve
from rmtfl.kernel.spectrum import SpikedKernel, spectrum
from rmtfl.kernel.table import KernelMatrixSetup, KernelSetup, LearningCurveSetup
from rmtfl.links import parse
from rmtfl.setup import Data
from rmtfl.study import from_document

KERNEL = {"inputs": "sphere", "dimension": 30, "isotropic": "6/5", "spike": 5, "degrees": [0, 1], "modes": 3}
TRAINED = {
    "network": {"activation": "relu(x)"},
    "kernel": {"from_training": True},
    "data": {"target": "x", "noise": 0.5},
    "sizes": {"width_ratio": 1, "sample_ratio": 2, "width": 400},
    "training": {"batches": "reused", "alpha": ["2/5"], "scale": [1]},
}


def row(model=KernelSetup, activation="relu(x)", extra=(), **kernel):
    return model.model_validate({"network": {"activation": activation}, "kernel": {**KERNEL, **kernel}, **dict(extra)})


@pytest.mark.parametrize(
    ("key", "change", "message"),
    [
        ("kernel.dimension", {"dimension": 2}, "greater than or equal to 3"),
        ("kernel.dimension", {"dimension": None}, "missing"),
        ("kernel.dimension", {"dimension": 30.5}, "valid integer"),
        ("kernel.isotropic", {"isotropic": 0}, "positive"),
        ("kernel.isotropic", {"isotropic": -1}, "positive"),
        ("kernel.spike", {"spike": -2}, "negative-definite"),
        ("kernel.spike", {"spike": "one"}, "rational number"),
        ("kernel.spike", {"spike": float("inf")}, "rational number"),
        ("kernel.modes", {"modes": 0}, "greater than or equal to 1"),
        ("kernel.degrees", {"degrees": []}, "at least 1"),
        ("kernel.degrees", {"degrees": [1, 1]}, "once"),
        ("kernel.degrees", {"degrees": -1}, "degrees from 0"),
        ("kernel.inputs", {"inputs": "cube"}, "'sphere' or 'gaussian'"),
        ("kernel.samples", {"samples": 10}, "Extra inputs"),
        ("kernel.covariance", {"covariance": "published"}, "from_training"),
    ],
)
def test_bad_values_are_refused_by_key(key, change, message):
    with pytest.raises(ValidationError, match=message) as caught:
        row(**change)
    assert ".".join(map(str, caught.value.errors()[0]["loc"])).startswith(key)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"samples": 0}, "greater than or equal to 1"),
        ({"ridge": -1}, "in \\[0"),
        ({"ridge": [1, "-1/2"]}, "in \\[0"),
        ({"ridge": []}, "at least 1"),
    ],
)
def test_bad_samples_and_ridges(change, message):
    given = {"samples": [10], "ridge": 1, **change}
    with pytest.raises(ValidationError, match=message):
        row(LearningCurveSetup, extra={"data": {"target": "x"}}, **given)


@pytest.mark.parametrize(("activation", "message"), [("0", "zero"), ("exp(x**2)", "second moment"), ("1/x", "pole")])
def test_activations_without_a_kernel(activation, message):
    with pytest.raises((ValidationError, BadInput), match=message):
        row(activation=activation)


def test_a_spike_down_to_minus_a_is_allowed():
    # At B = −A the kernel does not see z: an odd activation leaves nothing in the block of degree 0.
    relu = predict_kernel(row(isotropic=1, spike=-1, degrees=[0], modes=2))
    assert relu.blocks[0].eigenvalues[0] > 0.1
    erf = predict_kernel(row(activation="erf(x)", isotropic=1, spike=-1, degrees=[0], modes=2))
    assert abs(erf.blocks[0].eigenvalues[0]) < 1e-15


def test_degrees_as_a_number_and_as_a_list():
    assert row(degrees=4).kernel.degrees == (0, 1, 2, 3, 4)
    assert row(degrees=[3, 0]).kernel.degrees == (3, 0)


def test_document_of_a_kernel_row():
    document = json.loads(json.dumps(predict_kernel(row()).as_json()))
    zero, one = document["blocks"]
    assert (zero["degree"], zero["multiplicity"], one["multiplicity"]) == (0, 1, 29)
    assert zero["eigenvalues"] == sorted(zero["eigenvalues"], reverse=True)
    assert len(zero["eigenvalues"]) == len(zero["mixing"]) == 3 and "mixing" not in one
    assert [len(ratios) for ratios in document["amplification"]] == [3, 3]
    assert document["amplification"][0][1] == pytest.approx((1.2 + 5) / 1.2, rel=1e-9)
    assert document["amplification"][1][0] == pytest.approx(1, rel=1e-9)
    assert document["trace"] == pytest.approx((1.2 + 5 / 30) / 2, rel=1e-13)


def test_amplification_of_what_vanishes_is_not_given():
    # relu has no odd part beyond the linear one: its even block modes are resolved, zeros have no ratio.
    found = predict_kernel(row(activation="x", degrees=[0], modes=3))
    assert found.amplification[0][0] == pytest.approx((1.2 + 5) / 1.2)
    assert found.amplification[0][1:] == (None, None)


def test_reference_of_amplifications_skips_what_vanishes():
    # relu's degrees 3, 5, … vanish: the fourth eigenvalue at spike 0 is that of degree 4.
    it = SpikedKernel(parse("relu(x)"), 30, 1.0, 0.0)
    exact = spectrum(it, (0,), 5).blocks[0]
    reference = isotropic_eigenvalues(it, 0, 5)
    assert reference[4] > 0
    np.testing.assert_allclose(reference, exact.eigenvalues, atol=exact.error)
    np.testing.assert_allclose(reference[:3], exact.eigenvalues[:3], rtol=1e-9)
    assert reference[4] / reference[3] < 0.05


def test_small_eigenvalues_in_high_dimension_do_not_vanish():
    # Of He2(g) on the sphere, 2 (1 − 1/d) of the trace lies in degree 2, of dimension (d + 2)(d − 1)/2.
    kernel = SpikedKernel(parse("x + 1e-5*He2(x)"), 10**6, 1.0, 0.0)
    exact = 2e-10 * (1 - 1e-6) / ((10**6 + 2) * (10**6 - 1) / 2)
    assert isotropic_eigenvalues(kernel, 2, 1)[0] == pytest.approx(exact, rel=1e-6, abs=0)


def test_documents_on_samples():
    matrix = predict_kernel_matrix(row(KernelMatrixSetup, "erf(x)", samples=200)).as_json()
    assert matrix["outliers"][0]["location"] > matrix["bulk"]["intervals"][-1][1]
    curve = predict_learning_curve(
        row(LearningCurveSetup, samples=[20, 200], ridge=["1/10", 1], extra={"data": {"target": "x", "noise": 0.1}})
    ).as_json()
    assert curve["samples"] == [20, 200]
    assert curve["mse"][0] > curve["mse"][1] > 0.01
    assert set(curve["ridge"]) <= {0.1, 1.0}
    assert all(len(curve[key]) == 2 for key in ("mse", "ridge", "effective_ridge", "error"))


def test_from_training():
    setup = KernelSetup.model_validate(TRAINED)
    expected = covariance(parse("relu(x)"), Data(target="x", noise=0.5), 400**-0.1, 400, 800)
    assert (setup.spiked.isotropic, setup.spiked.spike) == (expected.isotropic, expected.spike)
    assert setup.spiked.dimension == 400
    assert predict_kernel(setup).spike == expected.spike
    assert "data" in setup.model_dump(mode="json") and "data" not in row().model_dump(mode="json")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"training": None}, "missing"),
        ({"sizes": None}, "missing"),
        ({"kernel": {"from_training": True, "spike": 1}}, "takes it from the training"),
        ({"kernel": KERNEL}, "nothing reads it"),
        ({"network": {"activation": "sign(x)"}}, "jumps"),
        ({"sizes": {"width_ratio": 1, "sample_ratio": 2, "width": "limit"}}, "finite width"),
        ({"training": {"batches": "reused", "alpha": [0.1, 0.2], "scale": [1, 1]}}, "one step"),
    ],
)
def test_from_training_needs_its_tables_and_only_then(change, message):
    with pytest.raises(ValidationError, match=message):
        KernelSetup.model_validate({**TRAINED, **change})


def test_a_number_that_is_not_there_is_said_to_be_missing():
    document = {"schema": 1, "observable": "kernel", "network": {"activation": "x"}, "kernel": {"dimension": 30}}
    with pytest.raises(BadInput, match=r"^key 'kernel.isotropic': is missing; expected a number, or kernel.from_"):
        from_document(document)
