"""The d → ∞ limit by its two forms, the rate at which finite d comes to it, and the published first order."""

import numpy as np
import pytest

from rmtfl.kernel import limit
from rmtfl.kernel.limit import limit_block
from rmtfl.kernel.published import first_order
from rmtfl.kernel.spectrum import SpikedKernel, spectrum
from rmtfl.links import parse


def block(text, d, ratio, degree, inputs="sphere"):
    return spectrum(SpikedKernel(parse(text), d, 1.2, ratio * d, inputs), (degree,), 3, 1e-9).blocks[0]


@pytest.mark.parametrize("text", ["erf(x)", "relu(x)", "tanh(x)"])
@pytest.mark.parametrize("degree", [0, 1, 2])
@pytest.mark.parametrize("inputs", ["sphere", "gaussian"])
def test_finite_dimensions_come_to_the_limit_like_one_over_d(text, degree, inputs):
    if text == "tanh(x)" and degree == 2:
        pytest.skip("as erf")
    exact = limit_block(parse(text), 1.2, 0.7, degree, 3).eigenvalues[0]
    gaps = [float(d) ** degree * block(text, d, 0.7, degree, inputs).eigenvalues[0] / exact - 1 for d in (400, 1600)]
    assert abs(gaps[1]) < 0.02
    # relu's linear mode is exact, and tanh's 1/d term nearly vanishes at this spike: there 1/d² shows.
    assert gaps[0] / gaps[1] == pytest.approx(4, rel=0.05) or abs(gaps[0]) < 1e-4


@pytest.mark.parametrize(("text", "ratio"), [("erf(x)", 0.5), ("erf(x)", 100.0), ("cos(x + 1)", 0.3), ("relu(x)", 0.5)])
def test_the_two_forms_of_the_limit(text, ratio, monkeypatch):
    for degree in (0, 1, 2) if text != "relu(x)" else (0,):
        closed = limit_block(parse(text), 1.2, ratio, degree, 4)
        with monkeypatch.context() as patch:
            patch.setattr(limit, "closed_dual", lambda link: None)
            features = limit_block(parse(text), 1.2, ratio, degree, 4, 1e-9)
        np.testing.assert_allclose(closed.eigenvalues, features.eigenvalues, atol=closed.error + features.error)


def test_without_a_spike_the_limit_is_the_hermite_coefficient():
    # M_ℓ is constant, with the one eigenvalue A^ℓ (E σ^{(ℓ)}(√A g))² = A/4 for relu and ℓ = 1.
    found = limit_block(parse("relu(x)"), 1.2, 0.0, 1, 2)
    np.testing.assert_allclose(found.eigenvalues, [0.3, 0], atol=1e-14)


@pytest.mark.parametrize("d", [30, 300])
def test_published_linear_modes_are_exact_and_the_top_is_first_order(d):
    gaps, published = [], []
    for ratio in (0.02, 0.01):
        found = spectrum(SpikedKernel(parse("relu(x)"), d, 1.2, ratio * d), (0, 1), 3, 1e-9)
        stated = first_order(d, 1.2, ratio * d)
        zero = found.blocks[0].eigenvalues
        assert np.min(np.abs(zero / stated.along - 1)) < 1e-12
        assert np.min(np.abs(found.blocks[1].eigenvalues / stated.across - 1)) < 1e-12
        gaps.append(zero[0] - stated.top_exact)
        published.append(zero[0] - stated.top)
    # λ̃ with the exact slope leaves O(B²/d²); the published slope, the limit's, leaves B/(4πd²) more.
    assert np.log2(gaps[0] / gaps[1]) == pytest.approx(2, abs=0.05)
    slopes = (np.array(published) - np.array(gaps)) / np.array([0.02, 0.01])
    np.testing.assert_allclose(slopes, 1 / (4 * np.pi * d), rtol=2 / d + 0.01)


@pytest.mark.parametrize("d", [5, 30, 300])
def test_published_mixing_is_the_large_d_limit_of_the_first_order(d):
    # As B → 0 the share of Y_2 is τ² (1 + 3/d + …): two halvings of B take its next two orders out.
    gaps = []
    for ratio in (0.02, 0.01, 0.005):
        found = spectrum(SpikedKernel(parse("relu(x)"), d, 1.2, ratio * d), (0,), 3, 1e-11)
        stated = first_order(d, 1.2, ratio * d)
        assert stated.share == pytest.approx(stated.tau**2 / (1 + stated.tau**2), rel=1e-14)
        gaps.append(found.mixing[0, 2] / stated.tau**2 - 1)
    extrapolated = (8 * gaps[2] - 6 * gaps[1] + gaps[0]) / 3
    assert d * extrapolated == pytest.approx(3 + 1.5 / d, abs=0.01)
