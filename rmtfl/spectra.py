"""A user's own spectra and weight matrices, from .npy, .npz and .csv files, or from a training loop."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmtfl.arrays import load
from rmtfl.errors import BadInput

ACCEPTED = (
    "singular values or eigenvalues (one dimension), a matrix (two) or a stack of matrices (three, the first counts "
    "draws), as .npy, .npz (one array a draw, all of one shape) or .csv"
)
MOST_DIMENSIONS = 3


def read_arrays(path: Path) -> list[NDArray[np.float64]]:
    """The real, finite arrays of one or two dimensions in a file, one a draw and of one shape; stacks are taken apart.

    Raises:
        BadInput: for a file or an array that cannot be used; the message names the file. Nothing is unpickled.
    """
    readers = {".npy": _numpy, ".npz": _numpy, ".csv": _csv}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise BadInput(f"{path}: unknown suffix {path.suffix!r}; expected {ACCEPTED}")
    try:
        arrays = reader(path)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror or error}); expected {ACCEPTED}") from None
    except MemoryError:
        raise BadInput(f"{path}: does not fit into memory; expected {ACCEPTED}") from None
    except ValueError as error:
        raise BadInput(f"{path}: is not a numeric {path.suffix} file ({error}); expected {ACCEPTED}") from None
    if not arrays:
        raise BadInput(f"{path}: holds no array; expected {ACCEPTED}")
    return _draws((f"{path}: {name}", array) for name, array in arrays.items())


def as_arrays(spectrum: Any) -> list[NDArray[np.float64]]:
    """An array, or each of a list or tuple of arrays, of any library that numpy can read, as `read_arrays` does.

    Raises:
        BadInput: for anything that is no array of real, finite numbers of one to three dimensions, or arrays of several
            shapes.
    """
    several = isinstance(spectrum, list | tuple) and any(map(_has_axes, spectrum))
    named = [(f"array {index}", array) for index, array in enumerate(spectrum if several else [spectrum], 1)]
    return _draws((name, _numpy_array(name, array)) for name, array in named)


def _draws(named: Iterable[tuple[str, Any]]) -> list[NDArray[np.float64]]:
    """Arrays one a draw, stacks taken apart.

    Raises:
        BadInput: for an array that cannot be used, or one of another shape than the first.
    """
    draws: list[NDArray[np.float64]] = []
    first = ""
    for name, array in named:
        found = _checked(name, array)
        matrices = list(found) if found.ndim == MOST_DIMENSIONS else [found]
        if draws and matrices[0].shape != draws[0].shape:
            raise BadInput(
                f"{name} has shape {matrices[0].shape} where {first} has {draws[0].shape}: several arrays are draws of "
                f"one setting, of one shape; expected {ACCEPTED}"
            )
        first = first or name
        draws += matrices
    return draws


def _detached(array: Any) -> Any:
    """A PyTorch tensor outside its graph and on the host; anything else as it is."""
    return array.detach().cpu() if hasattr(array, "detach") and hasattr(array, "cpu") else array


def _has_axes(entry: Any) -> bool:
    try:
        return np.ndim(_detached(entry)) > 0
    except ValueError:  # lists of several lengths
        return True


def _numpy_array(name: str, array: Any) -> NDArray[Any]:
    if np.ma.is_masked(array):
        raise BadInput(f"{name} has entries that are masked; expected {ACCEPTED}")
    try:
        return np.asarray(_detached(array))
    except (TypeError, ValueError, RuntimeError) as error:
        kind = type(array).__name__
        raise BadInput(f"{name} is of type {kind}, which cannot be read ({error}); expected {ACCEPTED}") from None


def _numpy(path: Path) -> dict[str, NDArray[Any]]:
    loaded = load(path)
    if isinstance(loaded, np.ndarray):
        return {"the array": loaded}
    return {f"array {name!r}": array for name, array in loaded.items()}


def _csv(path: Path) -> dict[str, NDArray[Any]]:
    lines = [line for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    if not lines:
        return {}
    try:
        [float(cell) for cell in lines[0].split(",")]
    except ValueError:
        lines = lines[1:]  # a header
    rows = [[float(cell) for cell in line.split(",")] for line in lines]
    if len({len(row) for row in rows}) > 1:
        raise ValueError("its lines differ in length")
    table = np.array(rows, dtype=float)
    return {"the table": table.ravel() if 1 in table.shape else table}


def _checked(name: str, array: Any) -> NDArray[np.float64]:
    if not isinstance(array, np.ndarray):  # what an archive holds beside arrays
        raise BadInput(f"{name} is no array; expected {ACCEPTED}")
    if array.dtype.kind not in "iuf":
        raise BadInput(f"{name} holds {array.dtype}, not real numbers; expected {ACCEPTED}")
    if not 1 <= array.ndim <= MOST_DIMENSIONS or array.size == 0:
        raise BadInput(f"{name} has shape {array.shape}; expected {ACCEPTED}")
    with np.errstate(over="ignore"):  # of numbers longer than doubles
        doubles = np.asarray(array, dtype=np.float64)
    if not np.isfinite(doubles).all():
        raise BadInput(f"{name} holds NaN or infinity; expected {ACCEPTED}")
    return doubles
