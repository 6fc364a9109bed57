"""What a generalized Marchenko-Pastur law's edges are, to those that find them and those that use them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rmtfl.laws.doubledouble import DoubleDouble
from rmtfl.laws.forward import Floats, Points

#: An edge must be known to this, relative, before it is rounded to a double (half an ulp is 1.1e-16).
EDGE_TOLERANCE = 1e-18


@dataclass(frozen=True)
class Images:
    """z and z' at real points, with bounds on their errors for the points as given."""

    value: DoubleDouble
    error: Floats
    slope: DoubleDouble
    slope_error: Floats


@dataclass(frozen=True)
class Structure:
    """Critical points of the forward map and what they say.

    Attributes:
        points: Critical points in pairs (left, right end of a bulk), ascending.
        images: z and z' at those points.
        error: Relative error of the edges, beyond their rounding to doubles.
        minima: Where Φ is least between neighbouring atoms, shape (K - 1,).
        least: Φ - 1 there.
        gap: Whether the bulks of the two atoms are apart there.
        notes: Decisions that double-double could not take, and how they were taken.
    """

    points: Points
    images: Images
    error: Floats
    minima: Points
    least: DoubleDouble
    gap: NDArray[np.bool_]
    notes: tuple[str, ...]

    @property
    def edges(self) -> DoubleDouble:
        """The edges, ascending, in double-double."""
        return self.images.value
