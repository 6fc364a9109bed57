"""Eigenvalues of the n × n kernel matrix k(x_i, x_j)/n: outliers of simple eigenvalues, bulks of multiple ones.

With population the Mercer spectrum λ with multiplicities, they follow the generalized Marchenko–Pastur law: with

    Z(t) = t + rest/n + (1/n) Σ mult λ t/(t − λ)    (t = −1/m, m the companion transform),

the intervals of the bulk lie between the critical values of Z over the blocks of degree ≥ 1, whose multiplicities grow
with d, and a simple eigenvalue λ moves to Z(λ), its own term left out, if Z'(λ) > 0. The eigenvector of the matrix has
then squared overlap Z'(λ) with the sampled eigenfunction (e(x_1), …, e(x_n))/√n.

The functions e Y_ℓ are uncorrelated but not independent, so that this is a limit theorem at heart: errors here are
numerical alone, and the deviation at finite n, d is measured in validation/kernel-matrices.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from rmtfl.kernel.mercer import Mercer, mercer
from rmtfl.kernel.spectrum import SpikedKernel, zonal_harmonics
from rmtfl.laws.generalized import GeneralizedMarchenkoPastur

Array = NDArray[np.float64]


@dataclass(frozen=True)
class MatrixOutlier:
    """An eigenvalue of the kernel matrix over n, outside its bulk.

    Attributes:
        location: the eigenvalue.
        eigenvalue: λ of the kernel, of multiplicity one.
        mode: its index in the block of degree 0.
        alignment: squared overlap of the matrix's eigenvector with the sampled eigenfunction.
        error: of location and alignment, absolute.
    """

    location: float
    eigenvalue: float
    mode: int
    alignment: float
    error: float


@dataclass(frozen=True)
class KernelMatrix:
    """The matrix of a kernel on n samples, in the limit of many samples and dimensions.

    Attributes:
        population: the Mercer spectrum.
        samples: n.
    """

    population: Mercer
    samples: int

    @cached_property
    def law(self) -> GeneralizedMarchenkoPastur | None:
        """The law of the blocks of degree ≥ 1, before the shift of the rest; None where there are none."""
        bulk = self.population.degrees > 0
        atoms, multiplicities = self.population.eigenvalues[bulk], self.population.multiplicities[bulk]
        if not atoms.size:
            return None
        count = float(multiplicities.sum())
        return GeneralizedMarchenkoPastur(count / self.samples, atoms, multiplicities / count)

    @property
    def shift(self) -> float:
        """What the rest of the spectrum adds to every eigenvalue."""
        return self.population.rest / self.samples

    @cached_property
    def intervals(self) -> tuple[tuple[float, float], ...]:
        """The bulk's intervals, ascending."""
        if self.law is None:
            return ()
        return tuple((low + self.shift, high + self.shift) for low, high in self.law.support)

    @property
    def error(self) -> float:
        """Of the edges, absolute: that of the eigenvalues, and what lumping the rest neglects."""
        bulk = self.population.degrees > 0
        worst = float(self.population.error[bulk].max(initial=0.0))
        # Z moves by at most (1 + mult/n) times what the eigenvalues do, where mult is comparable to n or larger.
        share = float((self.population.multiplicities * self.population.error)[bulk].sum()) / self.samples
        return worst + share + self.population.lumped

    @cached_property
    def outliers(self) -> tuple[MatrixOutlier, ...]:
        """The simple eigenvalues that separate from the bulk, largest first."""
        found = []
        population = self.population
        for i in np.flatnonzero(population.simple >= 0):
            location, slope, curvature = self.forward(int(i))
            inside = any(low <= location <= high for low, high in self.intervals)
            if slope > 0 and not inside:
                error = population.error[i] * (slope + abs(curvature)) + self.error
                found.append(
                    MatrixOutlier(
                        location, float(population.eigenvalues[i]), int(population.simple[i]), slope, float(error)
                    )
                )
        return tuple(sorted(found, key=lambda outlier: -outlier.location))

    def harmonic_overlaps(self, outlier: MatrixOutlier, count: int) -> Array:
        """Expected squared cosines of an outlier's eigenvector with the sampled harmonics Y_0, …: (count,).

        Sampled functions are orthogonal only up to n^{−1/2}. For unit functions e and Y with inner product ρ, the
        squared sample correlation <eY>²/(<e²><Y²>) is expanded to second order in the fluctuations of its three means,
        whose covariances over n are fourth moments. What of the eigenvector is not e is a random direction, with 1/n.
        """
        found = self.population.spectrum
        block, grid = found.blocks[0], found.grid
        e, parity = block.functions[outlier.mode], block.parities[outlier.mode]
        weights = np.outer(grid.rho_weights, 2 * grid.line.weights)
        overlaps = []
        for m, harmonic in enumerate(zonal_harmonics(grid.line, count)):
            y = np.broadcast_to(harmonic, e.shape)
            # Moments of odd order in z vanish; e Y is odd in z if their parities differ.
            same = parity == (-1.0) ** m
            rho = float(np.sum(weights * e * y)) if same else 0.0
            joint = float(np.sum(weights * e**2 * y**2))
            own = float(np.sum(weights * e**4)) - 1, float(np.sum(weights * y**4)) - 1
            mixed = float(np.sum(weights * e * y * (e**2 + y**2))) - 2 * rho if same else 0.0
            variance = joint - rho**2 - rho * mixed + rho**2 / 4 * (sum(own) + 2 * (joint - 1))
            bias = -mixed / 2 + rho * (3 * sum(own) / 8 + (joint - 1) / 4)
            overlaps.append(rho**2 + (variance + 2 * rho * bias) / self.samples)
        return np.asarray(outlier.alignment * np.array(overlaps) + (1 - outlier.alignment) / self.samples)

    def forward(self, index: int) -> tuple[float, float, float]:
        """Z, Z' and λ Z'' at an eigenvalue, its own term left out."""
        at = self.population.eigenvalues[index]
        others = np.arange(self.population.eigenvalues.size) != index
        weights = self.population.multiplicities[others] / self.samples
        value = self.population.eigenvalues[others]
        gap = at - value
        with np.errstate(divide="ignore", invalid="ignore"):
            z = at + self.shift + np.sum(weights * value * at / gap)
            slope = 1 - np.sum(weights * (value / gap) ** 2)
            curvature = 2 * at * np.sum(weights * value**2 / gap**3)
        return float(z), float(slope), float(curvature)

    def density(self, x: Array) -> Array:
        """The density of the n eigenvalues' law (their share in the bulk) at points x of any shape."""
        if self.law is None:
            return np.zeros_like(x)
        return np.asarray(self.law.density(x - self.shift) * self.law.ratio)


def kernel_matrix(
    kernel: SpikedKernel, samples: int, degrees: int = 0, modes: int = 0, tolerance: float = 1e-8
) -> KernelMatrix:
    """The kernel's matrix on n samples; arguments as for `rmtfl.kernel.mercer.mercer`."""
    return KernelMatrix(mercer(kernel, samples, degrees, modes, tolerance), samples)
