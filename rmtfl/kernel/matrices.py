"""Eigenvalues of the n × n kernel matrix k(x_i, x_j)/n: outliers of simple eigenvalues, bulks of multiple ones.

The blocks of degree ≥ 1, whose multiplicities grow with d, make the bulks: their law, with its edges, is that of
`rmtfl.kernel.bulk`, and simple eigenvalues that separate are those of `rmtfl.kernel.bulk_outliers`. Simple eigenvalues
also move one another, far from each other by Σ λ λ_k/(λ − λ_k) E e² e_k²/n, and take from one another's eigenvectors
(`rmtfl.kernel.fluctuations`).

The functions of a block are uncorrelated but not independent, so that this is a limit theorem at heart: errors here
are numerical alone, and the deviation at finite n, d is measured in validation/kernel-matrices.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from rmtfl.kernel.bulk import BulkLaw, bulk_law
from rmtfl.kernel.bulk_outliers import bulk_outliers
from rmtfl.kernel.fluctuations import Fluctuations
from rmtfl.kernel.mercer import Mercer, mercer
from rmtfl.kernel.spectrum import SpikedKernel
from rmtfl.statistics import TRACY_WIDOM_SD

Array = NDArray[np.float64]


@dataclass(frozen=True)
class MatrixOutlier:
    """An eigenvalue of the kernel matrix over n, outside its bulk.

    Attributes:
        location: the eigenvalue.
        eigenvalue: λ of the kernel, of multiplicity one.
        mode: its index in the block of degree 0.
        alignment: squared overlap of the matrix's eigenvector with the sampled eigenfunction.
        kept: the same were there no other simple eigenvalues.
        error: of location and alignment, absolute.
        spread: standard deviation of the location in one draw, to leading order in 1/n.
    """

    location: float
    eigenvalue: float
    mode: int
    alignment: float
    kept: float
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
        spread: standard deviation of that eigenvalue in one draw: of the Tracy–Widom law, and of the edge itself.
        error: of the location, absolute.
    """

    location: float
    scale: float
    upper: bool
    rank: int | None
    spread: float
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
    def law(self) -> BulkLaw:
        """The law of the blocks of degree ≥ 1."""
        return bulk_law(self.population, self.samples)

    @property
    def intervals(self) -> tuple[tuple[float, float], ...]:
        """The bulk's intervals, ascending."""
        return self.law.support

    @cached_property
    def edges(self) -> tuple[BulkEdge, ...]:
        """The ends of the intervals from the largest on, with what n eigenvalues fluctuate there.

        Above an edge are as many eigenvalues as the blocks above it have dimensions, and the outliers; in the bulk
        also simple eigenvalues that do not separate.
        """
        found: list[BulkEdge] = []
        for edge in reversed(self.law.edges):
            above = round(edge.above * self.samples) + edge.simple
            rank = above if edge.upper else above - 1
            scale = (self.samples * edge.decay) ** (-2 / 3) if edge.decay > 0 else 0.0
            found.append(
                BulkEdge(
                    location=edge.location,
                    scale=scale,
                    upper=edge.upper,
                    rank=rank if rank < self.samples else None,
                    spread=float(np.hypot(TRACY_WIDOM_SD * scale, edge.response / np.sqrt(self.samples))),
                    error=edge.error,
                )
            )
        return tuple(found)

    @cached_property
    def outliers(self) -> tuple[MatrixOutlier, ...]:
        """The simple eigenvalues that separate from the bulk, largest first."""
        found = []
        simple = np.flatnonzero(self.population.simple >= 0)
        for beyond in bulk_outliers(self.law):
            i = int(simple[beyond.mode])
            moved, left = self._fluctuations.exchange(i, self.samples)
            location, alignment = beyond.location + moved, beyond.overlap * left
            if not any(low <= location <= high for low, high in self.intervals):
                eigenvalue, mode = float(self.population.eigenvalues[i]), int(self.population.simple[i])
                error = beyond.error + float(self.population.error[i])
                spread = self._spread(i, alignment)
                found.append(MatrixOutlier(location, eigenvalue, mode, alignment, beyond.overlap, error, spread))
        return tuple(sorted(found, key=lambda outlier: -outlier.location))

    def _spread(self, index: int, slope: float) -> float:
        """λ √(Z' (2 + (E e⁴ − 3) Z')/n): the length of the sampled e moves λ Z', what else it meets 2 Z' (1 − Z')."""
        fourth = float(self._fluctuations.joint(index)[index])
        variance = max(slope * (2 + (fourth - 3) * slope), 0.0) / self.samples
        return float(self.population.eigenvalues[index] * np.sqrt(variance))

    def harmonic_overlaps(self, outlier: MatrixOutlier, count: int) -> Array:
        """Expected squared cosines of an outlier's eigenvector with the sampled harmonics Y_0, …: (count,).

        What of the eigenvector is lost to the bulks is a random direction, of squared cosine 1/n with each.
        """
        mixed = self._fluctuations.harmonic_overlaps(outlier.mode, count, self.samples)
        return np.asarray(outlier.kept * mixed + (1 - outlier.kept) / self.samples)

    @cached_property
    def _fluctuations(self) -> Fluctuations:
        return Fluctuations(self.population)

    def density(self, x: Array) -> Array:
        """The density of the n eigenvalues' law (their share in the bulk) at points x of any shape."""
        return self.law.density(x)


def kernel_matrix(
    kernel: SpikedKernel, samples: int, degrees: int = 0, modes: int = 0, tolerance: float = 1e-8
) -> KernelMatrix:
    """The kernel's matrix on n samples; arguments as for `rmtfl.kernel.mercer.mercer`."""
    return KernelMatrix(mercer(kernel, samples, degrees, modes, tolerance), samples)
