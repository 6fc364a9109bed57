"""The spiked covariance Γ = A I + B ββ^T that a gradient step gives the first layer's rows: E w w^T = Γ/d.

A row after the step is w₁ = w + s ā (1/n) Σ_j y_j σ'(<w, x_j>) x_j, with w ~ N(0, I/d), E ā = 0, E ā² = 1 and
s = η/√N (the network's own output in the residual is O(N^{−1/2}) and left out). With φ = d/n, μ_k = E σ^{(k)},
γ₁ = E[z g(z)], c₀ = E g, c₂ = E[(z² − 1) g], m₂ = E g² + noise² and 2S = E[(z² − 1) g²], these are its forms:

- "derived", the second moment over everything that is random (theory/spiked-covariance.md):
    A = 1 + s² (φ m₂ E σ'² + c₀² μ₂²),
    B/d = s² (γ₁² μ₁² (1 − 1/n) + 2S φ/d E σ'² + (c₂² + 2c₀c₂) μ₂²/d),
  up to O(1/d) in A and, relatively, in the leading term of B.
- "published", of arXiv 2605.17718, which replaces σ' by its mean and prints the target's first coefficient γ₁ where
  the activation's μ₁ must stand: A = 1 + s² φ m₂ γ₁², B/d = s² γ₁² (γ₁² (1 − 1/n) + 2S φ/d).
- "mean-gradient", the same with μ₁ in that place.
- `conditional`, given the batch, which is what one trained network has. Its spike lies along X^T y, of which only a
  part γ₁²/(γ₁² + φ m₂) is along β; the rest of that vector, which the averages above spread over all directions into A,
  stays one direction. As n/d → ∞ it is the derived form, at finite n/d it is not.

The sign of S decides whether the finite-sample part adds to the spike or takes from it: S is positive for growing
targets (1 for t, 6 for t², 1/2 for relu), and negative for bumps. B grows like d^{2α} in the step exponent α.

Decided by simulating the step (validation/kernel-covariance): the derived form is within two standard errors in every
setting tried, the other two are off by up to a hundred.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from rmtfl.gaussian import expectation, hermite_coefficient
from rmtfl.links import Link, parse
from rmtfl.setup import Data, Sizes, Training

Form = Literal["derived", "mean-gradient", "published"]


@dataclass(frozen=True)
class Covariance:
    """Γ = isotropic · I + spike · ββ^T, and the coefficient S of its finite-sample part.

    Attributes:
        isotropic: A.
        spike: B.
        curvature: S = ½ E[(z² − 1) g²].
        error: numerical error of A − 1 and of B, relative.
    """

    isotropic: float
    spike: float
    curvature: float
    error: float


@dataclass(frozen=True)
class ConditionalCovariance:
    """The rows' covariance given the batch: I plus a rank-one part along X^T y and noise.

    Attributes:
        spike: d times the variance added along the unit vector of X^T y, by the mean gradient.
        overlap: squared overlap of that vector with β.
        noise: mean variance added in every direction, times d, by what is neuron-specific in the gradient.
    """

    spike: float
    overlap: float
    noise: float


def covariance(
    activation: Link, data: Data, step: float, dimension: int, samples: int, form: Form = "derived"
) -> Covariance:
    """A and B after one step of size s = η/√N on n samples.

    Args:
        activation: σ.
        data: target and noise.
        step: s.
        dimension: d.
        samples: n.
        form: which formula; see the module docstring.

    Raises:
        ToleranceNotMet: if a Gaussian moment does not exist.
    """
    c = _coefficients(activation, data)
    phi, d = dimension / samples, dimension
    mean = bent = 0.0
    if form == "derived":
        spread, gradient = c.slope_square, c.slope**2
        mean, bent = (c.mean * c.bend) ** 2, (c.quadratic**2 + 2 * c.mean * c.quadratic) * c.bend**2
    elif form == "mean-gradient":
        spread = gradient = c.slope**2
    else:
        spread = gradient = c.linear**2
    return Covariance(
        isotropic=1 + step**2 * (phi * c.second * spread + mean),
        spike=d * step**2 * (c.linear**2 * gradient * (1 - 1 / samples) + (2 * c.curvature * phi * spread + bent) / d),
        curvature=c.curvature,
        error=c.error,
    )


def conditional(activation: Link, data: Data, step: float, dimension: int, samples: int) -> ConditionalCovariance:
    """What one network's rows have, given its batch; arguments as for `covariance`."""
    c = _coefficients(activation, data)
    phi = dimension / samples
    length = c.linear**2 + phi * c.second
    return ConditionalCovariance(
        spike=dimension * step**2 * c.slope**2 * length,
        overlap=c.linear**2 / length,
        noise=step**2 * (phi * c.second * (c.slope_square - c.slope**2) + (c.mean * c.bend) ** 2),
    )


def after_training(
    activation: Link, data: Data, sizes: Sizes, training: Training, form: Form = "derived"
) -> Covariance:
    """The same for the first step of a training setup at a finite width."""
    step = training.step_size(0, int(sizes.width))
    return covariance(activation, data, step, sizes.dimension, sizes.samples, form)


@dataclass(frozen=True)
class _Coefficients:
    slope: float  # μ₁ = E σ'
    slope_square: float  # E σ'²
    bend: float  # μ₂ = E[h σ']
    linear: float  # γ₁ = E[z g]
    mean: float  # c₀ = E g
    quadratic: float  # c₂ = E[(z² − 1) g]
    second: float  # m₂ = E g² + noise²
    curvature: float  # S = ½ E[(z² − 1) g²]
    error: float


def _coefficients(activation: Link, data: Data) -> _Coefficients:
    target, noise = data.target, float(data.noise)
    slope = activation.derivative()
    moments = {
        "slope": hermite_coefficient(activation, 1),
        "slope_square": expectation(slope, slope),
        "bend": hermite_coefficient(slope, 1),
        "linear": hermite_coefficient(target, 1),
        "mean": expectation(target),
        "quadratic": hermite_coefficient(target, 2),
        "square": expectation(target, target),
        "curvature": expectation(target, target, parse("x**2 - 1")),
    }
    value = {name: float(moment.value) for name, moment in moments.items()}
    scale = max(math.fsum(abs(v) for v in value.values()), 1e-300)
    return _Coefficients(
        slope=value["slope"],
        slope_square=value["slope_square"],
        bend=value["bend"],
        linear=value["linear"],
        mean=value["mean"],
        quadratic=value["quadratic"],
        second=value["square"] + noise**2,
        curvature=value["curvature"] / 2,
        error=4 * max(float(moment.error) for moment in moments.values()) / scale + 1e-15,
    )
