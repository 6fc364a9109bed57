"""The deformed bulk as a law of singular values: its density on a grid, and the share below each.

The density is read off at a small height above the real axis, which smooths it by as much: the share below a point is
off by about that height times the density. Checked against spectra of trained networks in tests/weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rmtfl.weights.deformed import spectrum
from rmtfl.weights.deformed.pencil import Pencil

Array = NDArray[np.float64]

POINTS = 80  # of the grid
HEIGHT = 2e-3  # of the line the density is read off on, times the width of the bulk
MARGIN = 0.01  # of the width of the bulk, on either side


@dataclass(frozen=True)
class TabulatedLaw:
    """A density and its integral, linear between the points of a grid.

    Attributes:
        grid: ascending singular values, shape (k,).
        heights: the density there, of integral 1.
        shares: the probability below.
    """

    grid: Array
    heights: Array
    shares: Array

    def density(self, x: Array) -> Array:
        """The density at each x; 0 off the grid."""
        return np.interp(x, self.grid, self.heights, left=0.0, right=0.0)

    def cdf(self, x: Array) -> Array:
        """The probability of at most x."""
        return np.interp(x, self.grid, self.shares)


def tabulated(pencil: Pencil, lower: float, upper: float) -> TabulatedLaw:
    """The law of the bulk's singular values.

    Args:
        pencil: of the trained weights.
        lower: the lower edge.
        upper: the upper edge.

    Raises:
        ToleranceNotMet: where the fixed point is lost.
    """
    width = upper - lower
    start = max(lower - MARGIN * width, HEIGHT * width)
    # Closer together towards the edges, where the density is that of a square root.
    grid = start + (upper + MARGIN * width - start) * (1 - np.cos(np.pi * np.arange(POINTS) / (POINTS - 1))) / 2
    heights = spectrum.density(pencil, grid, HEIGHT * width)
    first = heights[0] * grid[0] if lower == 0 else 0.0  # a hard edge at 0, below the grid
    shares = first + np.concatenate([[0.0], np.cumsum((heights[1:] + heights[:-1]) / 2 * np.diff(grid))])
    return TabulatedLaw(grid, heights / shares[-1], shares / shares[-1])
