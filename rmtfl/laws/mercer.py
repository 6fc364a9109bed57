"""The spectrum of a kernel matrix on n samples, from the kernel's Mercer spectrum with its multiplicities.

The n eigenvalues of the kernel matrix divided by n follow the companion generalized Marchenko-Pastur law whose
population is the Mercer spectrum: z(m) = -1/m + (1/n) Σ mult λ/(1 + λ m). A block of multiplicity of order n is a
bulk; an eigenvalue of small multiplicity that z'(-1/λ) > 0 separates moves to z(-1/λ), its own term left out. The
eigenvalues that are not listed enter through their trace alone: as their size goes to 0 at fixed trace, they add
trace/n to z, a shift.

Where it breaks down: it is a limit with Gaussian-like eigenfunctions; a block whose multiplicity is far from both
1 and n is neither a spike nor a bulk. Checked in tests/laws/test_mercer.py by sampled matrices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rmtfl.errors import BadInput
from rmtfl.laws.base import Interval, Outlier
from rmtfl.laws.forward import Floats
from rmtfl.laws.generalized import GeneralizedMarchenkoPastur

#: Blocks of fewer eigenvalues than this are spikes, each with its own outlier, rather than bulks.
SMALLEST_BULK = 10


@dataclass(frozen=True)
class KernelMatrixSpectrum:
    """Bulk and outliers of a kernel matrix divided by n.

    Attributes:
        bulk: The law of the p x p matrix of the blocks that are bulks (its support is that of the n x n one).
        shift: What the unlisted eigenvalues add to every location.
        outliers: One an eigenvalue of a small block, largest first; `spike` is the Mercer eigenvalue.
        samples: n.
    """

    bulk: GeneralizedMarchenkoPastur
    shift: float
    outliers: tuple[Outlier, ...]
    samples: int

    @property
    def intervals(self) -> tuple[Interval, ...]:
        """The bulk's intervals, shift included."""
        return tuple((low + self.shift, high + self.shift) for low, high in self.bulk.support)

    def density(self, x: Sequence[float] | Floats) -> Floats:
        """Return the density of the n eigenvalues at real x."""
        return self.bulk.ratio * self.bulk.density(np.asarray(x, float) - self.shift)


def kernel_matrix_spectrum(
    eigenvalues: Sequence[float], multiplicities: Sequence[int], samples: int, *, tail: float = 0.0
) -> KernelMatrixSpectrum:
    """Return bulk and outliers of the n x n kernel matrix over n.

    Args:
        eigenvalues: Distinct positive Mercer eigenvalues λ.
        multiplicities: How often each occurs.
        samples: n.
        tail: Trace of the eigenvalues that are not listed.

    Raises:
        BadInput: If the lists do not match, or nothing is left for a bulk.
    """
    values, counts = np.asarray(eigenvalues, float), np.asarray(multiplicities, float)
    if values.shape != counts.shape or values.ndim != 1 or not (values > 0).all() or not (counts >= 1).all():
        raise BadInput("eigenvalues and multiplicities: two lists of the same length, positive, are needed")
    if samples < 1 or tail < 0:
        raise BadInput(f"samples = {samples}, tail = {tail}: a positive count and a nonnegative trace are needed")
    large = counts >= SMALLEST_BULK
    if not large.any():
        raise BadInput(f"multiplicities: no block has {SMALLEST_BULK} eigenvalues or more; there is no bulk")
    total = counts[large].sum()
    bulk = GeneralizedMarchenkoPastur(total / samples, values[large], counts[large] / total)
    shift = tail / samples
    found = []
    for i in np.argsort(-values):
        if large[i]:
            continue
        own = values[i]
        one = _outlier(own, np.delete(values, i), np.delete(counts, i), samples, shift)
        found.extend([one] * int(counts[i]))
    return KernelMatrixSpectrum(bulk, shift, tuple(found), samples)


def _outlier(own: float, others: Floats, counts: Floats, samples: int, shift: float) -> Outlier:
    """Return where an eigenvalue of the kernel goes, with the weight of its eigenfunction on the eigenvector."""
    gap = own - others
    slope = 1 - np.sum(counts * (others / gap) ** 2) / samples
    if not slope > 0:
        return Outlier(float(own), None, None, 0.0)
    terms = counts * others / gap / samples
    place = own * (1 + terms.sum()) + shift
    # Rounding of a difference of eigenvalues is magnified by its closeness.
    error = 4 * np.finfo(float).eps * float(1 + np.sum(np.abs(terms) * (np.abs(own) + others) / np.abs(gap)))
    error *= max(1.0, own / place) / slope
    return Outlier(float(own), float(place), float(own * slope / place), error)
