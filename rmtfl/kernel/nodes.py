"""A kernel's eigenfunctions at quadrature nodes of the inputs' law, radius and sign of z included.

The spectrum's grid has one sign of z, and no radius where the radial part of the kernel factors out; what is averaged
here over products of eigenfunctions needs both.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from rmtfl.kernel.rules import radial_nodes, radius
from rmtfl.kernel.spectrum import Spectrum

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Nodes:
    """The radial and axial parts of the leading eigenfunctions of every block, for z > 0.

    Attributes:
        spectrum: where they come from.
        counts: how many of each of its blocks.
        refinement: of the radial rule, where the spectrum has none.
    """

    spectrum: Spectrum
    counts: tuple[int, ...]
    refinement: float = 1.0

    @cached_property
    def _radii(self) -> tuple[Array, Array, Array]:
        """Radii (R,), their weights, and the factor that eigenfunctions carry at each."""
        kernel, grid = self.spectrum.kernel, self.spectrum.grid
        rho, weights, factor = grid.rho, grid.rho_weights, np.ones(grid.rho.size)
        if kernel.inputs == "gaussian" and kernel.radial_moment() is not None:
            assert kernel.dual is not None and kernel.dual.homogeneity is not None
            # Half of what a kernel needs: its powers of ρ are exact with few.
            rho, weights = radius(kernel.dimension, radial_nodes(kernel.dimension, self.refinement / 2))
            factor = rho**kernel.dual.homogeneity
            factor /= np.sqrt(weights @ factor**2)
        return rho, weights, factor

    @cached_property
    def weights(self) -> Array:
        """(R·M,) of sum one, both signs of z together."""
        return 2 * np.outer(self._radii[1], self.spectrum.grid.line.weights).ravel()

    @cached_property
    def eigenvalues(self) -> Array:
        """(P,) block by block."""
        return np.concatenate([b.eigenvalues[:k] for b, k in zip(self.spectrum.blocks, self.counts, strict=True)])

    @cached_property
    def parities(self) -> Array:
        """(P,) of every function in z."""
        return np.concatenate([b.parities[:k] for b, k in zip(self.spectrum.blocks, self.counts, strict=True)])

    @cached_property
    def functions(self) -> Array:
        """(P, R·M), of unit mean square."""
        blocks = zip(self.spectrum.blocks, self.counts, strict=True)
        return self.with_radius(np.concatenate([block.functions[:count] for block, count in blocks]))

    def with_radius(self, values: Array, *, factor: bool = True) -> Array:
        """Functions (K, R or 1, M) on the grid at all nodes, with the eigenfunctions' factor or without: (K, R·M)."""
        rho, _, factors = self._radii
        carried = factors if factor else np.ones(rho.size)
        return np.asarray((values * carried[:, None]).reshape(len(values), -1))

    @cached_property
    def diagonal(self) -> Array:
        """(R·M,) k(x, x)."""
        kernel, line = self.spectrum.kernel, self.spectrum.grid.line
        across = kernel.isotropic * line.across**2
        q = across + (kernel.isotropic + kernel.spike) / kernel.dimension * line.z**2
        return np.asarray(kernel.variance(np.outer(self._radii[0] ** 2, q)).ravel())
