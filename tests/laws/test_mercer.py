"""Kernel matrices' bulks and outliers against Gaussian feature matrices with the same Mercer spectrum."""

import numpy as np
import pytest

from rmtfl.errors import BadInput
from rmtfl.laws.mercer import kernel_matrix_spectrum

BLOCKS = {"eigenvalues": [3.0, 0.05, 0.002], "multiplicities": [1, 40, 600], "samples": 300}


def sampled(seed, eigenvalues, multiplicities, samples):
    rng = np.random.default_rng(seed)
    spectrum = np.repeat(eigenvalues, multiplicities)
    features = rng.standard_normal((samples, spectrum.size)) * np.sqrt(spectrum)
    return np.linalg.eigvalsh(features @ features.T / samples)


def test_bulks_and_outlier_of_sampled_matrices():
    found = kernel_matrix_spectrum(**BLOCKS)
    trials = 20
    values = np.array([sampled(s, **BLOCKS) for s in np.random.SeedSequence(3).spawn(trials)])
    top = values[:, -1]
    (outlier,) = found.outliers
    assert abs(top.mean() - outlier.location) < 4 * top.std(ddof=1) / np.sqrt(trials) + outlier.location / 300
    low, high = found.intervals[0][0], found.intervals[-1][1]
    assert len(found.intervals) == 2
    # The extreme eigenvalues of a bulk stay within n^{-2/3} of its edges.
    assert abs(values[:, -2].mean() / high - 1) < 3 * 300 ** (-2 / 3)
    assert abs(values[:, 0].mean() / low - 1) < 3 * 300 ** (-2 / 3)
    # 40 of the 300 eigenvalues belong to the upper block's bulk.
    inside = ((values > found.intervals[1][0] * 0.98) & (values < 1.02 * high)).sum(1)
    assert inside.mean() == pytest.approx(40, abs=0.5)


def test_a_tail_is_a_shift():
    # 30000 eigenvalues of size 1e-4 against their trace alone.
    whole = kernel_matrix_spectrum([3.0, 0.5, 1e-6], [1, 40, 3_000_000], 300)
    short = kernel_matrix_spectrum([3.0, 0.5], [1, 40], 300, tail=3.0)
    assert whole.outliers[0].location == pytest.approx(short.outliers[0].location, rel=1e-4)
    np.testing.assert_allclose(whole.intervals[-1], short.intervals[-1], rtol=1e-3)
    # The n x n matrix has 40 eigenvalues in the bulk: mass 40/300.
    x = np.linspace(*short.intervals[-1], 4001)
    assert np.trapezoid(short.density(x), x) == pytest.approx(40 / 300, rel=1e-4)


def test_subcritical_and_bad_spectra():
    found = kernel_matrix_spectrum([0.0505, 0.05], [1, 40], 300)
    assert found.outliers[0].location is None
    with pytest.raises(BadInput, match="no bulk"):
        kernel_matrix_spectrum([1.0], [1], 10)
    with pytest.raises(BadInput, match="same length"):
        kernel_matrix_spectrum([1.0, 2.0], [20], 10)
