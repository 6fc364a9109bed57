"""How long a spectrum takes, and how accurate it is, beside diagonalising a sampled kernel matrix.

    pip install --editable ".[bench]" && python -m pytest benchmarks/test_kernel.py

`extra_info` of each entry holds its relative error on the top eigenvalue of relu, against the finest rule.
"""

from __future__ import annotations

import numpy as np
import pytest

from rmtfl.kernel.spectrum import SpikedKernel, spectrum
from rmtfl.links import parse
from rmtfl.montecarlo import kernel as sampled

DIMENSION, ISOTROPIC, SPIKE = 300, 1.2, 30.0
BUDGET = {"sphere": 0.1, "gaussian": 1.0}  # seconds, for ℓ ≤ 4 and six modes a block


def relu(inputs: str) -> SpikedKernel:
    return SpikedKernel(parse("relu(x)"), DIMENSION, ISOTROPIC, SPIKE, inputs)


@pytest.mark.parametrize("text", ["relu(x)", "erf(x)", "tanh(x)"])
@pytest.mark.parametrize("inputs", ["sphere", "gaussian"])
def test_spectrum(benchmark, text, inputs):
    kernel = SpikedKernel(parse(text), DIMENSION, ISOTROPIC, SPIKE, inputs)
    found = benchmark(spectrum, kernel, (0, 1, 2, 3, 4), 6, 1e-8)
    benchmark.extra_info["relative error"] = found.blocks[0].error / found.blocks[0].eigenvalues[0]
    if text != "tanh(x)":
        assert benchmark.stats.stats.median < BUDGET[inputs]


@pytest.mark.parametrize("dimension", [3, 30, 10**6])
def test_spectrum_by_dimension(benchmark, dimension):
    kernel = SpikedKernel(parse("erf(x)"), dimension, ISOTROPIC, 0.1 * dimension)
    found = benchmark(spectrum, kernel, (0, 1, 2, 3, 4), 6)
    benchmark.extra_info["relative error"] = found.blocks[0].error / found.blocks[0].eigenvalues[0]


def test_two_dimensional_rule_without_the_shortcut(benchmark):
    benchmark(spectrum, relu("gaussian"), (0, 1, 2, 3, 4), 6, 1e-8, shortcut=False)


def test_sampled_matrix_of_three_thousand(benchmark):
    rng = np.random.default_rng(np.random.SeedSequence(1))

    def diagonalise() -> float:
        x = sampled.inputs("gaussian", 3000, DIMENSION, rng)
        gram = sampled.kernel(parse("relu(x)"), x, x, ISOTROPIC, SPIKE)
        return float(np.linalg.eigvalsh(gram)[-1] / 3000)

    top = benchmark.pedantic(diagonalise, rounds=1)
    exact = float(spectrum(relu("gaussian"), (0,), 1).blocks[0].eigenvalues[0])
    benchmark.extra_info["relative error"] = abs(top / exact - 1)
