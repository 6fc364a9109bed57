"""The handful of Gaussian numbers that the trained weights depend on, in doubles, with their errors."""

from __future__ import annotations

import math
from dataclasses import dataclass

from rmtfl.gaussian import expectation, hermite_coefficient
from rmtfl.setup import Setup

NOISY = 0.1  # variance of the update's noise beside that of the untrained weights: moves an edge by a twentieth


@dataclass(frozen=True)
class Statistics:
    """Moments of activation σ and label y, with b = X^T y/n the direction of the first step.

    Attributes:
        mu1: E σ'.
        mu2: E[h σ'] (which is E σ'' where that is a function).
        v1: Var σ'(h).
        c0: E y.
        c1: E[z y], the overlap of b with the target direction.
        m2: E y², noise included.
        phi: d/n.
        psi: N/d.
        noise: standard deviation of the label noise.
        error: bound on the numerical error of every moment above.
    """

    mu1: float
    mu2: float
    v1: float
    c0: float
    c1: float
    m2: float
    phi: float
    psi: float
    noise: float
    error: float

    @property
    def tau(self) -> float:
        """‖b‖, of square c₁² + φ m₂."""
        return math.hypot(self.c1, self.perpendicular)

    @property
    def perpendicular(self) -> float:
        """√(φ m₂), the part of b across the target: the batch's own noise."""
        return math.sqrt(self.phi * self.m2)

    @property
    def specific(self) -> float:
        """√(φ m₂ v₁), the standard deviation of the neuron-specific part ξ of the first update on a sample."""
        return math.sqrt(self.phi * self.m2 * self.v1)


def statistics(setup: Setup) -> Statistics:
    """Compute the numbers for a setup."""
    activation, target = setup.network.activation, setup.data.target
    slope = activation.derivative()
    noise = float(setup.data.noise)
    mu1, mu2 = expectation(slope), hermite_coefficient(slope, 1)
    square = expectation(slope, slope)
    c0, c1, t2 = expectation(target), hermite_coefficient(target, 1), expectation(target, target)
    spread = expectation(slope, slope).value - mu1.value**2
    return Statistics(
        mu1=mu1.value,
        mu2=mu2.value,
        v1=0.0 if spread <= 4 * square.error else spread,
        c0=c0.value,
        c1=c1.value,
        m2=t2.value + noise * noise,
        phi=float(setup.sizes.phi),
        psi=float(setup.sizes.psi),
        noise=noise,
        error=max(value.error for value in (mu1, mu2, square, c0, c1, t2)),
    )


def noise_variance(setup: Setup) -> float:
    """The mean variance of the update's own noise beside that of the untrained weights, Σ_t s_t² φ m₂ Var σ'."""
    width = int(setup.sizes.width)
    steps = (setup.training.step_size(t, width) for t in range(setup.training.steps))
    return sum(step**2 for step in steps) * statistics(setup).specific ** 2
