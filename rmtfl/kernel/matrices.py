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

from rmtfl.kernel.fluctuations import Fluctuations
from rmtfl.kernel.mercer import Mercer, mercer
from rmtfl.kernel.spectrum import SpikedKernel
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
        spread: standard deviation of the location in one draw, to leading order in 1/n.
    """

    location: float
    eigenvalue: float
    mode: int
    alignment: float
    error: float
    spread: float


@dataclass(frozen=True)
class BulkEdge:
    """One end of one of the bulk's intervals.

    Attributes:
        location: the edge.
        scale: the Tracy–Widom scale: the eigenvalue at the edge is location ± scale · χ, χ of the Tracy–Widom law.
        upper: whether the interval lies below it.
        rank: of that eigenvalue, counted from 0 at the largest; None where it is not among the n.
    """

    location: float
    scale: float
    upper: bool
    rank: int | None


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

    @cached_property
    def edges(self) -> tuple[BulkEdge, ...]:
        """The ends of the intervals from the largest on, with what n eigenvalues fluctuate there.

        Near an edge Z(t) = Z(t*) + Z''(t*) (t − t*)²/2, so that the n eigenvalues have density
        (n/π) √(2 |x − Z(t*)|/|Z''|)/t*² there, which is Airy's at the scale (n √(2/|Z''|)/t*²)^{−2/3}. The blocks
        between two gaps hold as many eigenvalues as they have dimensions (Bai and Silverstein, Ann. Probab. 27, 1999).
        """
        if self.law is None:
            return ()
        bulk, everything = self.population.degrees > 0, self.population.eigenvalues
        atoms, multiplicities = everything[bulk], self.population.multiplicities[bulk]
        forward, points = self.law.forward, self.law.structure.points
        from_atom = points.reference >= 0
        critical = np.where(from_atom, forward.atoms[points.reference], 0.0) + points.offset.to_float()
        curvature = (
            2 / self.samples * np.sum(multiplicities * atoms**2 / (critical[:, None] - atoms) ** 3, axis=1)
        )  # of Z, Z'' at the critical points, ascending
        scales = (self.samples * np.sqrt(2 / np.abs(curvature)) / critical**2) ** (-2 / 3)
        locations = [edge for interval in self.intervals for edge in interval]
        above = sum(outlier.location > locations[-1] for outlier in self.outliers)
        edges: list[BulkEdge] = []
        for i in range(len(locations) - 1, 0, -2):
            inside = (everything > critical[i - 1]) & (everything < critical[i])  # simple ones that do not separate too
            between = sum(locations[i] < o.location < locations[i + 1] for o in self.outliers) if edges else 0
            first = above + between
            last = first + round(float(self.population.multiplicities[inside].sum())) - 1
            for j, upper, rank in ((i, True, first), (i - 1, False, last)):
                edges.append(BulkEdge(locations[j], float(scales[j]), upper, rank if rank < self.samples else None))
            above = last + 1
        return tuple(edges)

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
                eigenvalue, mode = float(population.eigenvalues[i]), int(population.simple[i])
                spread = self._spread(int(i), slope)
                found.append(MatrixOutlier(location, eigenvalue, mode, slope, float(error), spread))
        return tuple(sorted(found, key=lambda outlier: -outlier.location))

    def _spread(self, index: int, slope: float) -> float:
        """λ √(Z' (2 + (E e⁴ − 3) Z')/n): the length of the sampled e moves λ Z', what else it meets 2 Z' (1 − Z')."""
        fourth = float(self._fluctuations.joint(index)[0][index])
        variance = max(slope * (2 + (fourth - 3) * slope), 0.0) / self.samples
        return float(self.population.eigenvalues[index] * np.sqrt(variance))

    def harmonic_overlaps(self, outlier: MatrixOutlier, count: int) -> Array:
        """Expected squared cosines of an outlier's eigenvector with the sampled harmonics Y_0, …: (count,).

        What of the eigenvector is lost to the bulks is a random direction, of squared cosine 1/n with each.
        """
        population = self.population
        index = int(np.flatnonzero(population.simple == outlier.mode)[0])
        kept = self._forward(index, population.degrees > 0)[1]
        return np.asarray(
            kept * self._fluctuations.harmonic_overlaps(outlier.mode, count, self.samples) + (1 - kept) / self.samples
        )

    def forward(self, index: int) -> tuple[float, float, float]:
        """Z, Z' and λ Z'' at an eigenvalue, its own term left out, each other term times its joint moment."""
        return self._forward(index, np.arange(self.population.eigenvalues.size) != index)

    def _forward(self, index: int, others: NDArray[np.bool_]) -> tuple[float, float, float]:
        at = self.population.eigenvalues[index]
        moments, rest = self._fluctuations.joint(index)
        weights = (self.population.multiplicities * moments)[others] / self.samples
        value = self.population.eigenvalues[others]
        gap = at - value
        with np.errstate(divide="ignore", invalid="ignore"):
            z = at + rest / self.samples + np.sum(weights * value * at / gap)
            slope = 1 - np.sum(weights * (value / gap) ** 2)
            curvature = 2 * at * np.sum(weights * value**2 / gap**3)
        return float(z), float(slope), float(curvature)

    @cached_property
    def _fluctuations(self) -> Fluctuations:
        return Fluctuations(self.population)

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
