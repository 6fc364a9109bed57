"""Block variance profiles against Marchenko-Pastur laws and sampled matrices."""

import numpy as np
import pytest

from rmtfl.errors import BadInput
from rmtfl.laws.generalized import GeneralizedMarchenkoPastur
from rmtfl.laws.variance_profile import VarianceProfile


def test_rows_alone_are_a_population():
    profile = VarianceProfile(0.3, [[1.0], [4.0]], [0.5, 0.5], [1.0])
    law = GeneralizedMarchenkoPastur(0.3, [1.0, 4.0], [0.5, 0.5])
    z = np.array([0.4 + 0.3j, 3 + 0.1j, 12.0, -1.0])
    np.testing.assert_allclose(profile.stieltjes(z), law.stieltjes(z), rtol=1e-10)
    x = np.array([0.7, 2.0, 5.0])
    np.testing.assert_allclose(profile.density(x), law.density(x), rtol=1e-9)


def test_sampled_matrices():
    rng = np.random.default_rng(np.random.SeedSequence(41))
    p, n = 200, 400
    variances = np.array([[1.0, 0.2], [0.5, 3.0]])
    profile = VarianceProfile(p / n, variances, [0.5, 0.5], [0.25, 0.75])
    scale = np.sqrt(variances[np.repeat([0, 1], [100, 100])][:, np.repeat([0, 1], [100, 300])] / n)
    z = np.array([0.5 + 0.3j, 2 + 0.3j])
    traces = []
    for _ in range(20):
        values = np.linalg.eigvalsh((m := scale * rng.standard_normal((p, n))) @ m.T)
        traces.append((1 / (values[:, None] - z)).mean(0))
    traces = np.array(traces)
    error = (traces.real.std(0, ddof=1) + traces.imag.std(0, ddof=1)) / np.sqrt(20)
    assert (np.abs(traces.mean(0) - profile.stieltjes(z)) < 4 * error + 2 / p).all()


def test_bad_profiles():
    with pytest.raises(BadInput, match="fit the shares"):
        VarianceProfile(0.3, [[1.0]], [0.5, 0.5], [1.0])
    with pytest.raises(BadInput, match="rows"):
        VarianceProfile(0.3, [[1.0], [1.0]], [0.5, 0.4], [1.0])
