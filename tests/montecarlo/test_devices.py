"""What is simulated on other arrays than numpy's: the same draws, and the same numbers to rounding.

array-api-strict is the standard and nothing more, so that what runs on it runs on any library that keeps it; torch is
one that people have, on a processor that is there.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

import array_api_strict
import numpy as np
import pytest
from numpy.random import SeedSequence, default_rng

from rmtfl.errors import BadInput, ToleranceNotMet
from rmtfl.links import parse
from rmtfl.montecarlo import devices, law, singular, weights
from rmtfl.montecarlo.devices import HOST, Device, in_memory, kind, open_device
from rmtfl.montecarlo.threads import one_blas_thread
from rmtfl.setup import Setup
from rmtfl.study import from_document
from tests.montecarlo.test_singular import spiked

MakeSetup = Callable[..., Setup]

needs_torch = pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed")
LIBRARIES = ["strict", pytest.param("torch:cpu", marks=needs_torch)]
LINKS = [
    "tanh(x + 7/10)",
    "relu(x) - 1/3",
    "clip(x, -1, 1/2)",
    "abs(x)**3",
    "sigmoid(3*x) + silu(x)",
    "softplus(x)",
    "He5(x)/sqrt(120)",
    "sin(pi*x) + cos(x/7)",
    "exp(-x**2/2) * sqrt(2)",
    "atan(x) + asinh(x) + log(1 + x**2)",
    "sinh(x/2) * cosh(x/3)",
    "leaky_relu(x, 1/10)",
    "2**x + pi**x",
    "sqrt(1 + x**2)**(1/3)",
    "step(x) + sign(x - 1)",
    "1000000000000000000000 * x",
]


@pytest.fixture
def device(request: pytest.FixtureRequest) -> Device:
    if request.param == "strict":
        return Device("strict:cpu", array_api_strict)
    return open_device(request.param)


on_libraries = pytest.mark.parametrize("device", LIBRARIES, indirect=True)


@on_libraries
@pytest.mark.parametrize("text", LINKS)
@pytest.mark.parametrize("order", [0, 1])
def test_a_link_has_the_values_it_has_in_numpy(device: Device, text: str, order: int) -> None:
    link = parse(text).derivative(order)
    x = np.concatenate([default_rng(0).normal(scale=3, size=200), [0.0, -30.0, 30.0, *link.breakpoints]])
    expected = link.numpy()(x)
    found = in_memory(link.over(device.xp)(device.array(x)))
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=2e-14, atol=1e-15 * np.abs(expected).max())


@needs_torch
@pytest.mark.parametrize("text", ["erf(x/sqrt(2))", "gelu(x)"])
def test_the_error_function_is_torchs_own(text: str) -> None:
    place, x = open_device("torch:cpu"), np.linspace(-7, 7, 301)
    np.testing.assert_allclose(
        in_memory(parse(text).over(place.xp)(place.array(x))), parse(text).numpy()(x), rtol=2e-14, atol=1e-16
    )


def test_a_link_over_numpy_is_the_one_that_numpy_has() -> None:
    link = parse("relu(x)")
    assert link.over(HOST.xp) is link.over(np) is link.numpy()


@on_libraries
def test_draws_are_the_same_whatever_the_block(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = default_rng(3).standard_normal((50, 7))
    for block in (1, 20, 10**6):
        monkeypatch.setattr(devices, "HANDED_OVER", block)
        array = device.empty(50, 7)
        device.fill_normal(array, default_rng(3))
        assert np.array_equal(in_memory(array), expected)


@on_libraries
@pytest.mark.parametrize(
    "options",
    [
        {"batches": "reused"},
        {"batches": "independent", "loss": "correlation", "noise": "3/10", "second_layer": "rademacher"},
        {"batches": "reused", "activation": "relu(x)", "width_ratio": "1/2", "sample_ratio": 2},
    ],
    ids=["reused", "independent", "rectangular"],
)
def test_a_network_is_trained_alike(setup: MakeSetup, device: Device, options: dict) -> None:
    setting = setup(width=300, **options)
    expected = weights.train(setting, SeedSequence(5))
    found = in_memory(weights.train(setting, SeedSequence(5), device))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13 * np.abs(expected).max())


@needs_torch
def test_a_trial_gives_the_same_numbers(setup: MakeSetup) -> None:
    setting = setup(width=300)
    expected = weights.trial(setting, SeedSequence(2), spectrum=True)
    found = weights.trial(setting, SeedSequence(2), spectrum=True, device="torch:cpu")
    assert found.keys() == expected.keys()
    assert {type(array) for array in found.values()} == {np.ndarray}
    np.testing.assert_allclose(found["singular_values"], expected["singular_values"], rtol=1e-12)
    np.testing.assert_allclose(found["spectrum"], expected["spectrum"], atol=1e-12)
    np.testing.assert_allclose(found["alignments"], expected["alignments"], atol=1e-8)


@needs_torch
def test_torch_has_one_thread_for_as_long_as_anything_is_simulated() -> None:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with one_blas_thread():
            with one_blas_thread():
                assert torch.get_num_threads() == 1
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


@needs_torch
def test_a_trial_on_torch_is_the_same_to_the_last_bit(setup: MakeSetup) -> None:
    import torch

    setting, threads = setup(width=300), torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        first, second = (weights.trial(setting, SeedSequence(2), device="torch:cpu") for _ in range(2))
        assert torch.get_num_threads() == 2  # handed back
        torch.set_num_threads(1)
        third = weights.trial(setting, SeedSequence(2), device="torch:cpu")
    finally:
        torch.set_num_threads(threads)
    for name in first:
        assert first[name].tobytes() == second[name].tobytes() == third[name].tobytes()


@on_libraries
@pytest.mark.parametrize("shape", [(300, 700), (700, 300)])
@pytest.mark.parametrize("spikes", [[], [20.0, 3.0], [1e9, 2.5]])
def test_leading_singular_values_agree_with_the_full_decomposition(
    device: Device, shape: tuple[int, int], spikes: list[float]
) -> None:
    matrix = spiked(shape, spikes)
    found = singular._lanczos(device.array(matrix), 8, default_rng(2), device)
    assert found is not None
    values, vectors = found
    expected = np.linalg.svd(matrix, compute_uv=False)
    np.testing.assert_allclose(values, expected[:8], rtol=1e-12, atol=1e-14 * expected[0])
    np.testing.assert_allclose(vectors @ vectors.T, np.eye(8), atol=1e-12)
    residual = np.linalg.norm(matrix.T @ (matrix @ vectors.T / values) - values * vectors.T, axis=0)
    assert np.all(residual <= 1e-10 * values + 1e-14 * values[0] ** 2 / values)


@on_libraries
def test_a_residual_that_stays_large_leads_to_the_full_decomposition(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(singular, "MOST_STEPS", 41)
    matrix = spiked((400, 400), [5.0])
    assert singular._lanczos(device.array(matrix), 8, default_rng(0), device) is None
    values, vectors = singular.top_singular(device.array(matrix), 8, default_rng(0), device)
    np.testing.assert_allclose(values, np.linalg.svd(matrix, compute_uv=False)[:8], rtol=1e-13)
    np.testing.assert_allclose(vectors @ vectors.T, np.eye(8), atol=1e-12)


@on_libraries
def test_all_singular_values(device: Device) -> None:
    matrix = spiked((90, 60), [4.0])
    expected = np.linalg.svd(matrix, compute_uv=False)
    np.testing.assert_allclose(singular.all_singular(device.array(matrix), device), expected, atol=1e-13)


@on_libraries
def test_weights_beyond_doubles_are_reported(setup: MakeSetup, device: Device) -> None:
    with pytest.raises(ToleranceNotMet, match=r"training\.scale"):
        weights.train(setup(activation="x**9", scale=(10**9, 10**9)), SeedSequence(0), device)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cpu", "numpy:cpu"),
        ("numpy:cpu", "numpy:cpu"),
        ("torch:cpu", "torch:cpu"),
        ("cuda", "torch:cuda"),
        ("cuda:1", "torch:cuda"),
        ("torch:cuda:3", "torch:cuda"),
        ("cupy:cuda", "cupy:cuda"),
    ],
)
def test_the_kind_of_a_device(name: str, expected: str) -> None:
    assert kind(name) == expected


@pytest.mark.parametrize(
    "name", ["gpu", "", "cuda:", "cpu:1", "cupy:cuda:1", "numpy:cuda", "cupy:cpu", "cuda:x", "tpu"]
)
def test_a_name_that_means_no_device_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match=f"'device': value {name}: expected cpu"):
        open_device(name)


@pytest.mark.parametrize("name", ["cuda:999", "cupy:cuda"])
def test_a_device_that_is_not_there_is_refused(name: str) -> None:
    if name == "cupy:cuda" and find_spec("cupy") is not None:
        pytest.skip("CuPy is installed")
    with pytest.raises(BadInput, match=f"'device': value {name}: .*(not installed|GPUs here)"):
        open_device(name)


@on_libraries
@pytest.mark.parametrize(
    "values",
    [
        {
            "family": "generalized-marchenko-pastur",
            "ratio": 0.5,
            "atoms": [1, 8],
            "weights": [0.5, 0.5],
            "spikes": [20],
        },
        {"family": "semicircle", "variance": 2, "centre": 1, "spikes": [4, -3]},
    ],
    ids=["covariance", "wigner"],
)
def test_a_matrix_of_a_law_is_sampled_alike(device: Device, values: dict) -> None:
    table = from_document({"schema": 1, "observable": "law", "law": {**values, "size": 60}}).rows[0].setup.law
    expected, found = (law.observe(table, default_rng(1), place) for place in (HOST, device))
    for name, numbers in expected.items():
        np.testing.assert_allclose(found[name], numbers, rtol=1e-12, atol=1e-12)
