"""A step of order one: the closed form of arXiv 2402.10127, its published values, and the limit of finite widths."""

import math
from fractions import Fraction

import numpy as np
import pytest

from rmtfl.features.prediction import predict
from rmtfl.features.table import FeaturesSetup
from rmtfl.gaussian import expectation, hermite_coefficient
from rmtfl.laws.marchenko_pastur import marchenko_pastur
from tests.features.cases import published, row

# Figure 3(b): squared alignments by total step, for n = 1024 and n = 2048 at d = 2048, N = 1024.
STEPS = ("4/5", 1, "6/5", "8/5", 2, "12/5", "16/5")
PUBLISHED = {"1/2": (0.022, 0.138, 0.192, 0.240, 0.259, 0.269, 0.279), 1: (0, 0.138, 0.241, 0.333, 0.373, 0.395, 0.415)}


def closed_form(eta: float, psi: float, ratio: float, setup: FeaturesSetup) -> tuple[float, float]:
    """Location and squared alignment by Theorem 6, γ₀ = ψ, γ₁ = N/n."""
    training = setup.trained
    b = hermite_coefficient(training.network.activation, 1).value
    star = hermite_coefficient(training.data.target, 1).value
    noise, gamma = float(training.data.noise), psi / ratio
    first = b * eta * math.sqrt(gamma / psi * (1 + noise**2) + star**2)
    spike = b**2 * (1 + first**2) * (psi + first**2) / first**2 + 1 - b**2
    law = marchenko_pastur(psi)

    def z(s: float) -> float:
        # ∫ λ/(1 + λs) dν₀ = (1 − ∫ 1/(1 + λs) dν₀)/s, with λ = b²x + 1 − b².
        point = -(1 + s * (1 - b * b)) / (s * b * b)
        return -1 / s + gamma / s * (1 - float(law.stieltjes(np.array([point]))[0].real) / (s * b * b))

    s, step = -1 / spike, 1e-6
    slope = (z(s + step) - z(s - step)) / (2 * step)
    phi = -s * slope / z(s)
    second = b * star * eta
    root = second * math.sqrt((first**4 - psi) * (psi + first**2)) / first**3
    return z(s) / gamma, (b * star * math.sqrt(z(s) * phi) / spike * root) ** 2


@pytest.mark.parametrize("samples", PUBLISHED)
def test_published_alignments(samples: object) -> None:
    for eta, alignment in zip(STEPS, PUBLISHED[samples], strict=True):
        outliers = predict(published(eta, samples)).outliers
        assert (outliers[0].alignment if outliers else 0.0) == pytest.approx(alignment, abs=0.005)


@pytest.mark.parametrize(("eta", "noise"), [("3/2", 0), (2, "1/2"), (5, 1)])
@pytest.mark.parametrize("links", [("tanh(x)", "softplus(x)"), ("sin(x)", "x + x**3/6")])
def test_closed_form(eta: int | str, noise: object, links: tuple[str, str]) -> None:
    # Noise is given for the standardised target.
    setup = row("limit", *links, (0,), (eta,), width_ratio="3/4", sample_ratio=2, samples=2, centre=True, noise=noise)
    (outlier,) = predict(setup).outliers
    location, alignment = closed_form(float(Fraction(eta)), 0.75, 2.0, setup)
    assert outlier.location == pytest.approx(location, rel=1e-7)
    assert outlier.alignment == pytest.approx(alignment, rel=1e-5)


@pytest.mark.parametrize(("activation", "batches"), [("tanh(x)", "reused"), ("3/5*x + 3/10*(x**2 - 1)", "independent")])
def test_finite_widths_approach_it(activation: str, batches: str) -> None:
    # The second activation has a free part of norms, E σ = 0 and E σ'' ≠ 0, and a target with a mean moves it.
    arguments = (activation, "x + 2/5*(x**2 - 1) + 1/2", (0, 0), (1, 2))
    changes = {"batches": batches, "width_ratio": "1/2", "samples": 3, "sample_ratio": 2}
    (limit,) = predict(row("limit", *arguments, **changes)).outliers
    gaps = []
    for width in (10**4, 10**6):
        (found,) = predict(row(width, *arguments, **changes)).outliers
        gaps.append(abs(np.array([found.location / limit.location - 1, found.alignment - limit.alignment])).max())
    assert gaps[1] < 2e-3 and gaps[1] < gaps[0] / 5


def test_no_outlier_below_the_threshold() -> None:
    # θ₁ = b η √(γ₁/γ₀ + b_⋆²) and the threshold is ψ^{1/4}.
    assert predict(published("1/10", 1)).outliers == ()


def test_untrained_activations_of_mean_zero_may_have_spikes_of_norms() -> None:
    found = predict(row("limit", "He2(x)/sqrt(2)", "tanh(x)", (0,), ("1/100",), samples=4))
    assert len(found.outliers) >= 1
    assert expectation(row("limit", "He2(x)").network.activation).value == 0
