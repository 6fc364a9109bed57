"""A user's own matrices or eigenvalues as trials of a law study.

A matrix that someone else made has its spikes along directions that nobody told, so that outliers are taken by rank:
the k-th eigenvalue from the top against the k-th predicted outlier above all bulks, and from the bottom below them.
Overlaps are not known, and outliers between bulks are not looked for. Checked in tests/laws/test_draw.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmtfl.errors import BadInput
from rmtfl.laws.predict import predict_law
from rmtfl.laws.study import LawSetup

#: A matrix is symmetric if it differs from its transpose by at most this part of its largest entry (single precision).
SYMMETRIC = 1e-5


def draw(arrays: Sequence[NDArray[Any]], setup: LawSetup, eigenvalues: bool = True) -> dict[str, NDArray[np.float64]]:
    """Return a user's spectra as trials, one a draw.

    Args:
        arrays: Each of one dimension (all p eigenvalues, in any order) or two (a symmetric matrix, p x p).
        setup: The row they belong to.
        eigenvalues: Those of one dimension are eigenvalues in any case.

    Returns:
        `eigenvalues`, ascending, shape (draws, p); `locations`, shape (draws, spikes), where each predicted outlier
        is above or below all bulks.

    Raises:
        BadInput: For a matrix of another shape or not symmetric, or another number of eigenvalues.
    """
    del eigenvalues
    spectra = np.array([_spectrum(array, setup.law.size) for array in arrays])
    found = predict_law(setup.law, 1.0)
    low, high = found.support[0][0], found.support[-1][1]
    places = [np.nan if outlier.location is None else outlier.location for outlier in found.outliers]
    if any(low <= place <= high for place in places):
        return {"eigenvalues": spectra}
    # A subcritical spike's eigenvalue is one of the bulk, and nothing reads it.
    rank = np.zeros(len(places), dtype=int)
    for k, i in enumerate(sorted((i for i, place in enumerate(places) if place > high), key=lambda i: -places[i])):
        rank[i] = -1 - k
    for k, i in enumerate(sorted((i for i, place in enumerate(places) if place < low), key=lambda i: places[i])):
        rank[i] = k
    return {"eigenvalues": spectra, "locations": spectra[:, rank]}


def _spectrum(array: NDArray[Any], size: int) -> NDArray[np.float64]:
    if array.ndim == 1:
        if array.size != size:
            raise BadInput(f"{array.size} eigenvalues; expected all p = {size} of them (key 'law.size')")
        return np.asarray(np.sort(array), float)
    if array.shape != (size, size):
        raise BadInput(f"a matrix of shape {array.shape}; expected (p, p) = {(size, size)} (key 'law.size')")
    if np.abs(array - array.T).max() > SYMMETRIC * np.abs(array).max():
        raise BadInput("a matrix that is not symmetric; expected a sample covariance or Wigner matrix itself")
    return np.asarray(np.linalg.eigvalsh(0.5 * (array + array.T)), float)
