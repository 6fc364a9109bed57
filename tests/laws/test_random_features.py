"""Random-feature bulks: population form against coupled equations, and against sampled networks."""

import numpy as np
import pytest

from rmtfl.errors import BadInput
from rmtfl.laws.random_features import Affine, coupled_transform, random_feature_law
from rmtfl.laws.semicircle import Semicircle
from rmtfl.laws.views import Companion


@pytest.mark.parametrize("sizes", [(0.8, 0.5, 0.7), (0.3, 2.0, 3.0), (0.6, 1.0, 1.0)])
def test_the_two_forms_agree(sizes):
    z = np.array([0.5 + 0.2j, 2.0 + 0.05j, 9.0 + 1j, -1 + 0.3j])
    law = Companion(random_feature_law(*sizes), sizes[2])
    np.testing.assert_allclose(coupled_transform(z, *sizes), law.stieltjes(z), rtol=1e-9)


def test_sampled_network():
    # σ(h) = sgn-like odd link: erf, normalised; b = E σ'.
    from scipy.special import erf

    rng = np.random.default_rng(np.random.SeedSequence(31))
    width, dimension, samples = 300, 400, 600
    scale = np.sqrt(2 / np.pi * np.arcsin(2 / 3))
    slope = 2 / np.sqrt(3 * np.pi) / scale
    w = rng.standard_normal((width, dimension)) / np.sqrt(dimension)
    w /= np.linalg.norm(w, axis=1, keepdims=True)
    features = erf(w @ rng.standard_normal((dimension, samples))) / scale
    values = np.linalg.eigvalsh(features @ features.T / samples)
    law = random_feature_law(slope, width / dimension, width / samples)
    assert np.abs(law.cdf(values) - (np.arange(width) + 0.5) / width).max() < 6 / width
    assert law.moments(1)[0] == pytest.approx(1.0, rel=1e-13)


def test_affine():
    law, closed = Affine(Semicircle(1.0), 2.0, 3.0), Semicircle(4.0, 3.0)
    z = np.array([0.5 + 1j, 20.0])
    np.testing.assert_allclose(law.stieltjes(z), closed.stieltjes(z), rtol=1e-14)
    np.testing.assert_allclose(law.stieltjes_slope(z), closed.stieltjes_slope(z), rtol=1e-14)
    np.testing.assert_allclose(law.moments(6), closed.moments(6), rtol=1e-13)
    np.testing.assert_allclose(law.cdf([1.0, 4.0]), closed.cdf([1.0, 4.0]), rtol=1e-14)
    assert law.support == closed.support


def test_bad_inputs():
    with pytest.raises(BadInput, match="slope"):
        random_feature_law(1.0, 1.0, 1.0)
    with pytest.raises(BadInput, match="sample_ratio"):
        coupled_transform(1j, 0.5, 1.0, -1.0)
