"""The iteration against the full decomposition."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.random import default_rng

from rmtfl.montecarlo import singular
from rmtfl.montecarlo.singular import all_singular, top_singular


def spiked(shape: tuple[int, int], spikes: list[float]) -> np.ndarray:
    rng = default_rng(1)
    matrix = rng.standard_normal(shape) / np.sqrt(shape[1])
    for strength in spikes:
        left, right = rng.standard_normal(shape[0]), rng.standard_normal(shape[1])
        matrix += strength * np.outer(left / np.linalg.norm(left), right / np.linalg.norm(right))
    return matrix


@pytest.mark.parametrize("shape", [(500, 500), (300, 700), (700, 300), (160, 151)])
@pytest.mark.parametrize("spikes", [[], [20.0, 3.0], [1e4, 1e4 + 1e-3], [1e9, 2.5]])
def test_the_iteration_agrees_with_the_full_decomposition(shape: tuple[int, int], spikes: list[float]) -> None:
    matrix = spiked(shape, spikes)
    found = singular._lanczos(matrix, 8, default_rng(2))
    assert found is not None
    values, vectors = found
    expected = np.linalg.svd(matrix, compute_uv=False)
    np.testing.assert_allclose(values, expected[:8], rtol=1e-12, atol=1e-14 * expected[0])
    np.testing.assert_allclose(vectors @ vectors.T, np.eye(8), atol=1e-12)
    residual = np.linalg.norm(matrix.T @ (matrix @ vectors.T / values) - values * vectors.T, axis=0)
    assert np.all(residual <= 1e-10 * values + 1e-14 * values[0] ** 2 / values)


def test_a_residual_that_stays_large_is_not_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(singular, "MOST_STEPS", 41)
    matrix = spiked((600, 600), [5.0])
    assert singular._lanczos(matrix, 8, default_rng(0)) is None
    expected = np.linalg.svd(matrix, compute_uv=False)
    np.testing.assert_allclose(top_singular(matrix, 8, default_rng(0))[0], expected[:8], rtol=1e-13)


@pytest.mark.parametrize(
    "matrix",
    [np.zeros((200, 200)), np.eye(200), np.outer(np.arange(200.0), np.ones(180))],
    ids=["zero", "identity", "rank-one"],
)
def test_breakdown_falls_back_to_the_full_decomposition(matrix: np.ndarray) -> None:
    values, vectors = top_singular(matrix, 8, default_rng(0))
    np.testing.assert_allclose(values, np.linalg.svd(matrix, compute_uv=False)[:8], atol=1e-10)
    np.testing.assert_allclose(vectors @ vectors.T, np.eye(8), atol=1e-12)


def test_starting_vector_does_not_matter() -> None:
    matrix = spiked((400, 400), [3.0])
    first, second = (top_singular(matrix, 8, default_rng(seed)) for seed in (1, 2))
    np.testing.assert_allclose(first[0], second[0], rtol=1e-13)
    np.testing.assert_allclose(first[1] ** 2, second[1] ** 2, atol=1e-8)


def test_all_singular_values() -> None:
    matrix = spiked((90, 60), [4.0])
    expected = np.linalg.svd(matrix, compute_uv=False)
    np.testing.assert_allclose(all_singular(matrix), expected, atol=1e-13)
