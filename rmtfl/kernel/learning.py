"""Kernel ridge regression on n samples: the effective ridge and the test error, in closed form.

With the ridge δ on the unnormalised kernel matrix, f̂ = k(·, X)(K + δI)^{−1} y and the Mercer spectrum λ with
multiplicities, the effective ridge κ and the factor E₀ by which finite samples amplify all errors solve

    Σ mult λ/(λ + κ) + (δ + rest)/κ = n,      E₀ = n/(n − Σ mult (λ/(λ + κ))²),

the eigenvalues that were not resolved acting as more ridge. The error on noisy labels, for y = Σ t_j e_j + (what no
eigenfunction reaches) + noise, is

    mse = E₀ (Σ (κ/(λ_j + κ))² t_j² + unreached + noise²)

(Bordelon, Canatar & Pehlevan 2020; Simon et al. 2021). It is exact for Gaussian features in many dimensions; at few
samples it is optimistic, by how much is measured in validation/kernel-figure.

The ridge is given, the best of a list, or chosen from it by cross-validation in five folds: the error of a fold is that
of a regression on four fifths of the samples, and concentrates as the mse does, so that the ridge chosen is the best
one for 4n/5 samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rmtfl.errors import BadInput, ToleranceNotMet
from rmtfl.kernel.mercer import Mercer, mercer
from rmtfl.kernel.projections import Projections, projections
from rmtfl.kernel.spectrum import SpikedKernel
from rmtfl.links import Link

Array = NDArray[np.float64]

FOLDS = 5  # of cross-validation
STEPS = 200  # of the safeguarded Newton iteration, which needs ten


@dataclass(frozen=True)
class Regression:
    """The regression of one target on one kernel.

    Attributes:
        population: the kernel's Mercer spectrum.
        target: the target's projections.
        noise: standard deviation of the label noise.
    """

    population: Mercer
    target: Projections
    noise: float

    def effective_ridge(self, samples: float, ridge: float) -> float:
        """κ, by Newton's method in log κ between bounds; zero where samples without a ridge fit everything."""
        values, multiplicities = self.population.eigenvalues, self.population.multiplicities
        floor = ridge + self.population.rest
        if floor == 0 and multiplicities.sum() <= samples:
            return 0.0
        low = floor / samples
        high = (floor + float(multiplicities @ values)) / samples  # λ/(λ + κ) ≤ λ/κ
        low = max(low, 1e-300)
        kappa = high
        for _ in range(STEPS):
            share = values / (values + kappa)
            excess = float(multiplicities @ share) + floor / kappa - samples
            if excess > 0:
                low = kappa
            else:
                high = kappa
            slope = -float(multiplicities @ (share * (1 - share))) - floor / kappa  # d/d log κ
            step = kappa * np.exp(np.clip(-excess / slope, -5, 5))
            following = float(step) if low < step < high else float(np.sqrt(low * high))
            if abs(following - kappa) <= 4e-16 * kappa:
                return following
            kappa = following
        if high - low <= 1e-13 * high:
            return kappa
        raise ToleranceNotMet(f"the effective ridge for {samples} samples did not settle between {low} and {high}")

    def error(self, samples: float, ridge: float) -> tuple[float, float]:
        """(mse, κ) on noisy labels."""
        kappa = self.effective_ridge(samples, ridge)
        values, multiplicities = self.population.eigenvalues, self.population.multiplicities
        share = values / (values + kappa)
        amplification = samples / (samples - float(multiplicities @ share**2))
        missed = self.target.rest_beyond(self.learned) + float(((1 - self._shares(kappa)) ** 2) @ self._squares)
        return amplification * (missed + self.noise**2), kappa

    @property
    def learned(self) -> NDArray[np.int_]:
        """The eigenfunctions of degree 0 that the population resolves."""
        return self.population.simple[self.population.simple >= 0]

    @cached_property
    def _squares(self) -> Array:
        return np.asarray(self.target.coefficients[self.learned] ** 2)

    def _shares(self, kappa: float) -> Array:
        values = self.population.eigenvalues[self.population.simple >= 0]
        return np.asarray(values / (values + kappa))

    def numerical_error(self, samples: int, ridge: float, mse: float) -> float:
        """How far the mse may be off by the errors of eigenvalues and projections, absolute."""
        kappa = self.effective_ridge(samples, ridge)
        if kappa == 0:
            return self.target.error
        population = self.population
        share = population.eigenvalues / (population.eigenvalues + kappa)
        freedom = float(population.multiplicities @ share**2)
        # Relative change of κ, and of everything built on it, through the sum that defines it.
        shift = float(population.multiplicities @ (population.error / (population.eigenvalues + kappa))) / samples
        # The lumped eigenvalues, at most `lumped`, enter κ and E₀ as rest/κ (1 − O(lumped/κ)).
        lumped = population.lumped / kappa * population.rest / kappa / samples
        return mse * (4 * (shift + lumped) * samples / (samples - freedom) + 1e-13) + self.target.error


@dataclass(frozen=True)
class LearningCurve:
    """Test errors by sample size, each at the ridge chosen of those offered.

    Attributes:
        samples: sample sizes.
        mse: on noisy labels.
        ridge: the ridge taken.
        effective_ridge: κ at it.
        error: of mse, absolute.
    """

    samples: tuple[int, ...]
    mse: tuple[float, ...]
    ridge: tuple[float, ...]
    effective_ridge: tuple[float, ...]
    error: tuple[float, ...]


def regression(
    kernel: SpikedKernel,
    target: Link,
    noise: float,
    samples: int,
    degrees: int = 0,
    modes: int = 0,
    tolerance: float = 1e-8,
) -> Regression:
    """The regression of y = target(<x, u>) + noise on up to `samples` samples."""
    population = mercer(kernel, samples, degrees, modes, tolerance)
    return Regression(population, projections(population.spectrum, target), noise)


def learning_curve(
    found: Regression,
    samples: Sequence[int],
    ridges: Sequence[float],
    choice: Literal["best", "cross-validation"] = "best",
) -> LearningCurve:
    """The errors at each sample size, at the ridge that is best for them or that cross-validation chooses.

    Raises:
        BadInput: if no ridge is offered.
    """
    if not ridges:
        raise BadInput("key 'kernel.ridge': value []: expected at least one ridge")
    rows = []
    seen = 1.0 if choice == "best" else 1 - 1 / FOLDS  # share of the samples that the choice is made on
    for n in samples:
        _, ridge = min((found.error(seen * n, ridge), ridge) for ridge in ridges)
        mse, kappa = found.error(n, ridge)
        rows.append((n, mse, ridge, kappa, found.numerical_error(n, ridge, mse)))
    columns = list(zip(*rows, strict=True))
    return LearningCurve(*(tuple(column) for column in columns))
