"""The bulk's density of singular values, and the typical top of the bulk.

With G₀₀ = (1/d) tr Q the density of singular values, d of them with weight 1/d each, is Im[2ζ G₀₀(ζ²)]/π just above the
real axis. The largest |ā| and |y| have small bulks of their own at the top, so the edge is the upper end of what the
largest ones can do, and no typical value. A simulated top singular value is to be compared with the s that has half a
singular value above it, d · (mass above s) = 1/2.

It breaks down at an imaginary part far below the spacing of singular values, where the fixed point converges slowly or
to nothing: that is an error. Checked against spectra of trained networks in tests/weights/test_deformed.py.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from rmtfl.weights.deformed.pencil import Pencil
from rmtfl.weights.deformed.walk import Walk

Array = NDArray[np.float64]

HEIGHT = 0.01  # of the line that the density is read off on, times d^(-2/3): below the spacing at the top
STEP = 0.05  # of the integration from the edge, times the edge · d^(-2/3): the scale of the top of the bulk
GROWTH, MASS_STEP = 1.5, 0.05  # the step grows while it adds less than so much of one singular value


def density(pencil: Pencil, s: Array, height: float = 1e-3) -> Array:
    """The density of singular values at each s, with 1/d for each of the d of them.

    Args:
        pencil: of the trained weights.
        s: positive, in any order.
        height: the imaginary part that it is smoothed over.

    Raises:
        ToleranceNotMet: where the fixed point is lost.
    """
    order = np.argsort(s)[::-1]
    result = np.empty(s.size)
    walk = Walk(pencil, height)
    for index in order:
        result[index] = _density(walk, float(s[index]))
    return result


def _density(walk: Walk, s: float) -> float:
    zeta, m = walk.to(s)
    return (2 * zeta * m).imag / math.pi


def top(pencil: Pencil, edge: float, dimension: int) -> float:
    """The s with half a singular value above it, d · (mass above s) = 1/2.

    Args:
        pencil: of the trained weights.
        edge: of the bulk.
        dimension: d.

    Raises:
        ToleranceNotMet: where the fixed point is lost.
    """
    scale = dimension ** (-2 / 3)
    walk = Walk(pencil, HEIGHT * scale)
    s, step, mass = edge, STEP * edge * scale, 0.0
    before = _density(walk, s)
    while True:
        here = _density(walk, s - step)
        added = dimension * step * (before + here) / 2
        if mass + added >= 0.5:
            return s - _part(0.5 - mass, before, here, step, dimension)
        s, mass, before = s - step, mass + added, here
        if added < MASS_STEP:
            step *= GROWTH
        elif added > 2 * MASS_STEP:
            step /= GROWTH


def _part(mass: float, before: float, here: float, step: float, dimension: int) -> float:
    """The part of a step at which a density linear across it has this mass."""
    slope, wanted = (here - before) / step, mass / dimension
    if abs(slope) * step < 1e-9 * before:
        return wanted / before
    return (math.sqrt(before**2 + 2 * slope * wanted) - before) / slope
