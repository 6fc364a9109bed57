"""A user's own weights or spectra as trials, and what they look like where they are not what they were taken for."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmtfl.errors import BadInput
from rmtfl.setup import Setup
from rmtfl.weights.compare import rank

Array = NDArray[np.float64]

FAR = math.log(1.25)  # values are off by more than this factor where another scale is looked for ...
FAR_BETTER = 0.25  # ... and it is named where that leaves this part of it, in logarithms


def draw(arrays: Sequence[NDArray[Any]], setup: Setup, eigenvalues: bool = False) -> dict[str, Array]:
    """A user's weight matrices or spectra as trials, one a draw.

    Args:
        arrays: each of one dimension (singular values in any order) or two (a matrix of shape N × d, w_i ~ N(0, I/d)).
        setup: the row they belong to.
        eigenvalues: whether those of one dimension hold eigenvalues of W W^T or W^T W instead.

    Returns:
        'singular_values' of shape (draws, values), descending: as many as the shortest list has; 'spectrum' is the
        same where that is all of them.

    Raises:
        BadInput: for a matrix of another shape, or anything that is no spectrum.
    """
    shape = setup.matrix_shape
    spectra = []
    for array in arrays:
        if array.ndim == 2 and array.shape != shape:
            transposed = "; transposed it would fit" if array.shape == shape[::-1] else ""
            raise BadInput(f"a matrix of shape {array.shape}; expected (N, d) = {shape}{transposed}")
        if array.ndim == 2:
            values = np.linalg.svd(array, compute_uv=False)
        else:
            values = np.sort(_square_roots(array, setup) if eigenvalues else array)[::-1]
        taken = "" if eigenvalues or array.ndim == 2 else "; eigenvalues of W W^T are taken with --eigenvalues"
        if values[-1] < 0:
            raise BadInput(f"a singular value of {values[-1]:g}; expected none below 0{taken}")
        if len(values) > rank(setup):
            raise BadInput(f"{len(values)} singular values; expected at most min(N, d) = {rank(setup)}{taken}")
        spectra.append(values)
    shortest = min(len(values) for values in spectra)
    trials = {"singular_values": np.array([values[:shortest] for values in spectra])}
    if shortest == rank(setup):
        trials["spectrum"] = trials["singular_values"]
    return trials


def _square_roots(eigenvalues: NDArray[Any], setup: Setup) -> Array:
    """Singular values from the eigenvalues of either Gram matrix, without the null space of the larger one."""
    if len(eigenvalues) == max(setup.matrix_shape):
        eigenvalues = np.sort(eigenvalues)[-rank(setup) :]
    rounding = len(eigenvalues) * np.finfo(np.float32).eps * np.abs(eigenvalues).max()
    if eigenvalues.min() < -rounding:
        raise BadInput(f"an eigenvalue of {eigenvalues.min():g}; expected none below 0")
    return np.asarray(np.sqrt(np.maximum(eigenvalues, 0.0)))


def hint(
    arrays: Sequence[NDArray[Any]],
    trials: Mapping[str, Array],
    setup: Setup,
    prediction: Mapping[str, Any],
    eigenvalues: bool,
) -> str | None:
    """What a user's arrays look like if they are far from the prediction and match it far better on another scale.

    Args:
        arrays: as `draw` is given them.
        trials: as it returns them.
        setup: the row.
        prediction: its document.
        eigenvalues: as for `draw`.
    """
    values = trials["singular_values"].mean(axis=0)
    places = [float(outlier["location"]) for outlier in prediction["outliers"]] + [float(prediction["bulk"]["top"])]
    expected, found = np.array(places[: len(values)]), values[: len(places)]
    if not np.all(found > 0):
        return None

    def off(scaled: Array) -> float:
        return float(np.abs(np.log(scaled / expected)).max())

    offs = ((off(scale(found)), words) for scale, words in _scales(setup, arrays[0].ndim == 2, eigenvalues))
    least, words = min(offs)
    if off(found) <= FAR or least > FAR_BETTER * off(found):
        return None
    return f"hint: the values match far better as {words}"


def _scales(setup: Setup, matrix: bool, eigenvalues: bool) -> Iterator[tuple[Callable[[Array], Array], str]]:
    """Other scales that a spectrum may be on: the singular values meant, from those taken; and words for it."""
    width, dimension = setup.matrix_shape
    if not matrix and eigenvalues:
        yield np.square, "singular values (without --eigenvalues, eigenvalues=False)"
    elif not matrix:
        yield np.sqrt, "eigenvalues of W W^T (--eigenvalues, eigenvalues=True)"
    words = "those of weights whose entries have variance {} before training; expected 1/d: multiply them by {}"
    yield (lambda values: values / math.sqrt(dimension)), words.format("1", "1/√d")
    if width != dimension:
        yield (lambda values: values * math.sqrt(width / dimension)), words.format("1/N", "√(N/d)")
