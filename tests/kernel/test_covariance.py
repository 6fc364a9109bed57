"""The forms of the spiked covariance against one simulated step, and closed values of its coefficients."""

import math

import numpy as np
import pytest

from rmtfl.kernel.covariance import after_training, conditional, covariance
from rmtfl.links import parse
from rmtfl.montecarlo.kernel import step_moments
from rmtfl.setup import Data, Sizes, Training

DRAWS = 120


@pytest.mark.parametrize(
    ("activation", "target", "noise", "d", "n"),
    [
        ("relu(x)", "x", 0.0, 60, 60),
        ("relu(x)", "x + 3", 0.0, 60, 300),
        ("relu(x)", "x**2", 0.0, 40, 40),
        ("tanh(x + 7/10)", "relu(x)", 0.5, 60, 60),
    ],
)
def test_derived_form_is_that_of_the_simulated_step(activation, target, noise, d, n):
    link, goal = parse(activation), parse(target)
    seeds = np.random.SeedSequence([8, d, n]).spawn(DRAWS)
    drawn = np.array([step_moments(link, goal, noise, 1.0, 200, d, n, np.random.default_rng(s)) for s in seeds])
    mean, error = drawn.mean(axis=0), drawn.std(axis=0) / math.sqrt(DRAWS)
    data = Data(target=target, noise=noise)
    derived = covariance(link, data, 1.0, d, n)
    # What is left out is O(1/d) in A, and relative in B.
    assert derived.isotropic == pytest.approx(mean[0], abs=3 * error[0] + 1 / d)
    assert derived.spike == pytest.approx(mean[1], abs=3 * error[1] + 3 / d * mean[1])
    published = covariance(link, data, 1.0, d, n, "published")
    assert abs(published.isotropic - mean[0]) > 8 * error[0]
    assert abs(covariance(link, data, 1.0, d, n, "mean-gradient").isotropic - mean[0]) > 8 * error[0]


def test_terms_of_order_one_in_b_where_there_is_no_linear_part():
    # relu on x²: B = s² (2S φ E σ'² + (c₂² + 2c₀c₂) μ₂²) = 4 + 8/(2π) at φ = 2/3; the other forms have at most 2.
    seeds = np.random.SeedSequence(9).spawn(2500)
    link, goal = parse("relu(x)"), parse("x**2")
    drawn = [step_moments(link, goal, 0.0, 1.0, 60, 40, 60, np.random.default_rng(seed))[1] for seed in seeds]
    error = np.std(drawn) / math.sqrt(len(drawn))
    stated = covariance(link, Data(target="x**2"), 1.0, 40, 60).spike
    assert stated == pytest.approx(4 + 4 / math.pi, rel=1e-9)
    assert np.mean(drawn) == pytest.approx(stated, abs=3 * error)
    assert error < 4 / math.pi / 3  # the μ₂ term is seen


@pytest.mark.parametrize(("target", "curvature"), [("x", 1.0), ("x**2", 6.0), ("relu(x)", 0.5), ("1", 0.0)])
def test_curvature_of_the_paper(target, curvature):
    assert covariance(parse("relu(x)"), Data(target=target), 1.0, 50, 50).curvature == pytest.approx(curvature)


def test_a_bump_takes_from_the_spike():
    found = covariance(parse("tanh(x)"), Data(target="exp(-x**2)"), 1.0, 60, 30)
    assert found.curvature < 0 and found.spike < 0


def test_published_scaling_in_the_step_exponent():
    # B ∝ s² d ∝ N^{2α − 1} d = N^{2α} d/N at fixed ratios.
    data = Data(target="x")
    spikes = []
    for width in (1000, 4000):
        sizes = Sizes(width_ratio=1, sample_ratio=2, width=width)
        training = Training(batches="reused", alpha=["2/5"], scale=[1])
        spikes.append(after_training(parse("relu(x)"), data, sizes, training).spike)
    assert math.log(spikes[1] / spikes[0]) / math.log(4) == pytest.approx(0.8, abs=0.02)


def test_conditional_spike_lies_along_the_labels_mean():
    # One network: the top eigenvector of W^T W/N after a large step, against the stated direction and strength.
    d, n, width, step = 60, 90, 4000, 3.0
    data = Data(target="x", noise=0.5)
    stated = conditional(parse("relu(x)"), data, step, d, n)
    rng = np.random.default_rng(np.random.SeedSequence(12))
    overlaps, strengths = [], []
    for _ in range(20):
        x = rng.standard_normal((n, d))
        labels = x[:, 0] + 0.5 * rng.standard_normal(n)
        rows = rng.standard_normal((width, d)) / math.sqrt(d)
        gradient = (rows @ x.T > 0) * (labels / n)
        rows = rows + step * rng.standard_normal(width)[:, None] * (gradient @ x)
        mean = x.T @ labels
        mean /= np.linalg.norm(mean)
        overlaps.append(mean[0] ** 2)
        strengths.append(d * np.mean((rows @ mean) ** 2))
    assert np.mean(overlaps) == pytest.approx(stated.overlap, abs=3 * np.std(overlaps) / math.sqrt(20) + 0.02)
    # Along X^T y the noise is larger than its mean over directions: (X^T D_y² X) has that direction's fourth moments.
    assert np.mean(strengths) == pytest.approx(1 + stated.spike + stated.noise, rel=0.1)
    assert 0.3 < stated.overlap < 0.9
