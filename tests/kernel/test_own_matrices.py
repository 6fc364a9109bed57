"""A user's own kernel matrices against the prediction, and what one draw of them scatters."""

from __future__ import annotations

import json

import numpy as np
import pytest
from numpy.random import default_rng
from typer.testing import CliRunner

from rmtfl.cli import app
from rmtfl.errors import BadInput
from rmtfl.kernel.compare import matrix_draw
from rmtfl.kernel.matrices import kernel_matrix
from rmtfl.kernel.spectrum import SpikedKernel
from rmtfl.links import parse
from rmtfl.montecarlo import kernel as sampled
from rmtfl.study import from_document
from rmtfl.workflow import compare_spectrum

N, D, SPIKE = 100, 30, 15.0
STUDY = f"""
schema = 1
observable = "kernel-matrix"
network = {{ activation = "erf(x)" }}
kernel = {{ inputs = "sphere", dimension = {D}, isotropic = 1, spike = {SPIKE}, samples = {N} }}
"""


def gram(seed: int, text: str = "erf(x)") -> np.ndarray:
    """k(x_i, x_j) of sampled inputs."""
    x = sampled.inputs("sphere", N, D, default_rng(seed))
    return sampled.kernel(parse(text), x, x, 1.0, SPIKE)


@pytest.fixture(scope="module")
def matrix() -> np.ndarray:
    return gram(0)


@pytest.fixture
def study(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text(STUDY, encoding="utf-8")
    return path


@pytest.fixture
def setup():
    return (
        from_document(
            {
                "schema": 1,
                "observable": "kernel-matrix",
                "network": {"activation": "erf(x)"},
                "kernel": {"dimension": D, "isotropic": 1, "spike": SPIKE, "samples": N},
            }
        )
        .rows[0]
        .setup
    )


def test_one_matrix_agrees_and_its_multiple_does_not(study, matrix):
    found = compare_spectrum(study, matrix)
    assert found.agree and found.judged == 4
    first = found.rows[0].comparisons[0]
    assert first.trials == 1 and first.standard_error > 0.03 * first.prediction
    assert not compare_spectrum(study, 1.5 * matrix).agree


def test_a_matrix_and_its_eigenvalues_over_n_are_the_same_draw(study, matrix, setup):
    values = np.linalg.eigvalsh(matrix) / N
    whole, all_of_them, largest = (
        matrix_draw([array], setup)["eigenvalues"] for array in (matrix, values, values[-20:])
    )
    np.testing.assert_allclose(whole, all_of_them, atol=1e-14)
    np.testing.assert_allclose(largest, whole[:, :20], atol=1e-14)
    several = matrix_draw([matrix, values[-20:]], setup)["eigenvalues"]
    assert several.shape == (2, 20)
    assert compare_spectrum(study, [values, np.linalg.eigvalsh(gram(1)) / N]).rows[0].comparisons[0].trials == 2


def test_what_is_no_kernel_matrix_is_refused(setup, matrix):
    wrong = matrix.copy()
    wrong[0, 1] += 0.1
    for array, message in [
        (wrong, "not symmetric"),
        (matrix[:50, :50], r"shape \(50, 50\); expected \(n, n\) = \(100, 100\)"),
        (-matrix, "an eigenvalue of -.*; expected none below 0"),
        (np.ones(101), "101 eigenvalues; expected at most n = 100"),
    ]:
        with pytest.raises(BadInput, match=message):
            matrix_draw([array], setup)


def test_from_the_command_line_with_a_picture(study, matrix, tmp_path):
    np.savez(tmp_path / "own.npz", matrix, gram(1))
    arguments = ["compare", study, "--spectrum", tmp_path / "own.npz", "--figure", tmp_path / "own.svg", "--json"]
    found = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert found.exit_code in (0, 1), found.output
    comparisons = {c["name"]: c for c in json.loads(found.stdout)["rows"][0]["comparisons"]}
    assert comparisons["outlier 1"]["trials"] == 2
    assert "overlap with Y_0" in comparisons and comparisons["overlap with Y_0"]["mean"] is None
    assert "<svg" in (tmp_path / "own.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize("text", ["erf(x)", "relu(x)", "x**2 + x"])
def test_one_draw_scatters_as_predicted(text):
    draws = 40
    outlier = kernel_matrix(SpikedKernel(parse(text), D, 1.0, SPIKE, "sphere"), N).outliers[0]
    values = np.array([np.linalg.eigvalsh(gram(seed, text) / N)[-1] for seed in range(draws)])
    scatter, kurtosis = values.std(ddof=1), np.mean((values - values.mean()) ** 4) / values.var() ** 2
    error = scatter * np.sqrt((kurtosis - 1) / (4 * draws))  # of the standard deviation
    assert abs(scatter - outlier.spread) <= 3 * error + 0.2 * outlier.spread
