"""A spiked kernel's Mercer spectrum as a population: eigenvalues with multiplicities, and the mass of the rest.

Blocks are resolved until their multiplicity is so far beyond the number of samples that their eigenvalues act as one
multiple of the identity, of size mass/n: the kernel's own ridge. The rest's mass is exact, by the trace identity. What
lumping neglects is at most the largest possible eigenvalue of the rest, its mass over the next multiplicity.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from rmtfl.errors import ToleranceNotMet
from rmtfl.kernel.nodes import Nodes
from rmtfl.kernel.spectrum import COARSER, Spectrum, SpikedKernel, harmonic_dimension, spectrum

Array = NDArray[np.float64]

LUMPED = 1000  # multiplicity of a degree over n beyond which it is lumped: its eigenvalues are then 1e-3 of the ridge
HIGHEST = 12  # degree that is ever resolved on the sphere
HIGHEST_GAUSSIAN = 8  # with Gaussian inputs, whose blocks are larger by the radial nodes
MODES = 16  # eigenvalues a block: the seventeenth is below rounding, except at B/d ≫ 1, where it is 1e-5 of the first


@dataclass(frozen=True)
class Mercer:
    """The population.

    Attributes:
        eigenvalues: (P,) positive.
        multiplicities: (P,) as floats.
        degrees: (P,) ℓ of each.
        simple: (P,) its index in the block of degree 0, or −1.
        rest: Σ mult · λ of everything else.
        lumped: the largest that an eigenvalue of the rest can be.
        error: of each eigenvalue, absolute: (P,).
        spectrum: where it comes from; its first block is that of degree 0.
    """

    eigenvalues: Array
    multiplicities: Array
    degrees: NDArray[np.int_]
    simple: NDArray[np.int_]
    rest: float
    lumped: float
    error: Array
    spectrum: Spectrum

    @cached_property
    def nodes(self) -> Nodes:
        """Its eigenfunctions at quadrature nodes."""
        return Nodes(self.spectrum, self._counts)

    @cached_property
    def coarse_nodes(self) -> Nodes:
        """The same functions, with their eigenvalues, by the coarser rule that the spectrum was compared with."""
        assert self.spectrum.coarse is not None
        return Nodes(self.spectrum.coarse, self._counts, COARSER)

    @property
    def _counts(self) -> tuple[int, ...]:
        return tuple(int(np.sum(self.degrees == block.degree)) for block in self.spectrum.blocks)


def mercer(kernel: SpikedKernel, samples: int, degrees: int = 0, modes: int = MODES, tolerance: float = 1e-8) -> Mercer:
    """The population of kernel matrices on up to n = `samples` samples.

    Args:
        kernel: the kernel.
        samples: n.
        degrees: the least number to be resolved to, whatever n.
        modes: eigenvalues a block, at least MODES.
        tolerance: of the spectrum, relative to its largest eigenvalue.
    """
    highest = HIGHEST if kernel.radial_moment() is not None else HIGHEST_GAUSSIAN
    top = 1
    while top < highest and (top < degrees or harmonic_dimension(top + 1, kernel.dimension - 1) < LUMPED * samples):
        top += 1
    found = spectrum(kernel, tuple(range(top + 1)), max(modes, MODES), tolerance)
    rows = [
        (value, float(block.multiplicity), block.degree, j if block.degree == 0 else -1, block.error)
        for block in found.blocks
        for j, value in enumerate(block.eigenvalues.tolist())
        if value > block.error  # what is not told from zero is left to the rest
    ]
    eigenvalues, multiplicities, of, simple, error = (np.array(column) for column in zip(*rows, strict=True))
    rest = found.trace - float(multiplicities @ eigenvalues)
    slack = found.trace_error + float(multiplicities @ error)
    if rest < -slack:
        raise ToleranceNotMet(f"the eigenvalues sum to {-rest:.1e} more than the trace {found.trace:.6g}")
    rest = max(rest, 0.0)
    return Mercer(
        eigenvalues=eigenvalues,
        multiplicities=multiplicities,
        degrees=of,
        simple=simple,
        rest=rest,
        lumped=rest / float(harmonic_dimension(top + 1, kernel.dimension - 1)),
        error=error,
        spectrum=found,
    )
