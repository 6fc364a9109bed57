"""Blocks in digits against doubles, and against closed results."""

import mpmath
import pytest

from rmtfl.errors import BadInput, ToleranceNotMet
from rmtfl.kernel import precise
from rmtfl.kernel.precise import precise_block
from rmtfl.kernel.prediction import predict_kernel
from rmtfl.kernel.spectrum import SpikedKernel, spectrum
from rmtfl.kernel.table import KernelSetup, LearningCurveSetup
from rmtfl.links import parse


def kernel(text, d=10_000, spike=2500.0, inputs="sphere"):
    return SpikedKernel(parse(text), d, 1.25, spike, inputs)


@pytest.mark.parametrize(("text", "degree"), [("relu(x)", 0), ("cos(x + 1)", 1)])
def test_digits_agree_with_doubles(text, degree):
    doubles = spectrum(kernel(text), (degree,), 2).blocks[0]
    found = precise_block(kernel(text), degree, 2, 5)
    for value, other in zip(found.eigenvalues, doubles.eigenvalues, strict=True):
        assert abs(float(value) - other) <= doubles.error + float(found.error)
    if text == "relu(x)":  # its odd sector has one eigenvalue, (A + B)/(4d): to more digits than a double holds
        with mpmath.workdps(30):
            assert abs(found.eigenvalues[1] - mpmath.mpf(250125) / 4_000_000) < 1e-16
    assert found.error <= found.eigenvalues[0] * 1e-5


def test_digits_out_of_reach_are_refused(monkeypatch):
    with pytest.raises(BadInput, match="closed dual"):
        precise_block(kernel("tanh(x)"), 0, 1, 20)
    with pytest.raises(BadInput, match="homogeneous"):
        precise_block(kernel("erf(x)", inputs="gaussian"), 0, 1, 20)
    monkeypatch.setattr(precise, "FINER", "6")  # a second rule too coarse to agree
    with pytest.raises(ToleranceNotMet, match="ask for fewer"):
        precise_block(kernel("cos(x)"), 0, 2, 5)


def test_a_row_in_digits_has_strings():
    document = {
        "network": {"activation": "x"},
        "kernel": {"dimension": 10_000, "isotropic": 1, "spike": 100, "degrees": [1], "modes": 1},
        "theory": {"digits": 1},
    }
    block = predict_kernel(KernelSetup.model_validate(document)).as_json()["blocks"][0]
    assert isinstance(block["eigenvalues"][0], str) and float(block["error"]) < 0.1 * float(block["eigenvalues"][0])
    document["kernel"] |= {"samples": 3, "ridge": 1}
    with pytest.raises(ValueError, match="digits are offered"):
        LearningCurveSetup.model_validate(document | {"data": {"target": "x"}})
