"""Outliers of a kernel matrix: simple eigenvalues beyond its bulks.

With v_0 = (√λ_i e_i)_i of the simple eigenvalues and q of the bulks' equation (`rmtfl.kernel.bulk_equation`), an
outlier is a real x off the bulks with 1 + E q v_0 v_0^T singular. In a gap that matrix grows with x, so that each of
its eigenvalues vanishes once at most, and the signs at the gap's ends say which do. With u its null vector of length
one, the eigenvector of K/n has squared overlap u_i²/(λ_i u^T (E q' v_0 v_0^T) u) with the sampled e_i. Derived as
`spiked-samples.outliers` in theory/spiked-samples.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rmtfl.kernel.bulk import HEIGHT, BulkLaw
from rmtfl.kernel.bulk_equation import BulkEquation
from rmtfl.solve import Bracketed, Root, solve

Array = NDArray[np.float64]

LEAST = 1e-6  # of the lowest edge: what is below is taken for 0
TOUCHING = 1e-9  # relative distance to an edge within which an outlier is not told from it


@dataclass(frozen=True)
class BulkOutlier:
    """A simple eigenvalue beyond the bulks.

    Attributes:
        location: where.
        mode: the simple eigenvalue with which its eigenvector overlaps most, counted in the equation's order.
        overlap: the squared overlap with that one's sampled eigenfunction.
        error: of location and overlap, absolute.
    """

    location: float
    mode: int
    overlap: float
    error: float


def bulk_outliers(law: BulkLaw) -> list[BulkOutlier]:
    """The outliers of a law, largest first: of its two rules' only those that both have."""
    if not len(law.equation.simple):
        return []
    fine, coarse = (_outliers(equation, law) for equation in (law.equation, law.coarse))
    found = []
    for place in fine.keys() & coarse.keys():
        (location, mode, overlap), (other, _, another) = fine[place], coarse[place]
        error = max(abs(location - other), abs(overlap - another) * location)
        found.append(BulkOutlier(location, mode, overlap, error))
    return sorted(found, key=lambda outlier: -outlier.location)


def _gaps(equation: BulkEquation, law: BulkLaw) -> tuple[Array, Array]:
    """Between the bulks, above them all, and below them where the matrix has not the rank to be full.

    Bulks are taken as wide as their edges may be off, so that both rules' lie within.
    """
    highest = equation.bound + 2 * float(np.sum(equation.simple**2 @ equation.weights))
    ends = [edge.location + (edge.error if edge.upper else -edge.error) for edge in law.edges]
    if not ends or (law.levels[-1] < 1 and law.floor == 0):
        ends = [max(float(equation.rest.max()), LEAST * (ends[0] if ends else highest)), *ends]
    else:
        ends = ends[1:]
    return np.array(ends[0::2]) * (1 + TOUCHING), np.array([*ends[1::2], highest]) * (1 - TOUCHING)


def _outliers(equation: BulkEquation, law: BulkLaw) -> dict[tuple[int, int], tuple[float, int, float]]:
    """(location, mode, overlap) by the gap and the eigenvalue of 1 + E q v_0 v_0^T that vanishes there."""
    low, high = _gaps(equation, law)
    guess = equation.above(np.concatenate([low, high]) * (1 + 1j * TOUCHING))
    bottom, top = np.split(np.linalg.eigvalsh(equation.simple_matrix(guess.real)), 2)
    gap, which = np.nonzero((bottom < 0) & (top > 0) & (low < high)[:, None])
    if not gap.size:
        return {}
    start = guess[gap].real
    vectors, rates = np.empty((gap.size, len(equation.simple))), np.empty(gap.size)

    def residual(x: Array, index: NDArray[np.intp]) -> tuple[Array, Array]:
        m, proved = equation.outside(x, start[index])
        if not proved.all():
            lost = np.flatnonzero(~proved)
            m[lost] = equation.outside(x[lost], equation.above(x[lost] * (1 + 1j * HEIGHT)))[0]
        start[index] = m.real
        values, all_vectors = np.linalg.eigh(equation.simple_matrix(m.real))
        one = np.arange(len(index))
        u = all_vectors[one, :, which[index]]
        coupling = equation.terms(x, m.real).coupling
        slope = m.real * np.linalg.solve(np.eye(equation.size) - coupling, m.real[:, :, None])[:, :, 0]
        vectors[index], rates[index] = u, (u @ equation.simple) ** 2 * slope @ equation.weights
        return values[one, which[index]], rates[index]

    simple = np.sort(equation.simple**2 @ equation.weights)[::-1]
    first = np.where((simple[which] > low[gap]) & (simple[which] < high[gap]), simple[which], (low * high)[gap] ** 0.5)
    found = solve(Root(residual, lower=low[gap], upper=high[gap]), Bracketed(), first, tolerance=1e-12).value
    mode = np.argmax(vectors**2, axis=1)
    eigenvalues = equation.simple**2 @ equation.weights
    overlap = vectors[np.arange(gap.size), mode] ** 2 / (eigenvalues[mode] * rates)
    places = zip(gap.tolist(), which.tolist(), strict=True)
    return dict(zip(places, zip(found.tolist(), mode.tolist(), overlap.tolist(), strict=True), strict=True))
