"""One network's own second layer and batches, given as numbers: `file:PATH` in a study.

The text that stands for them carries a hash of the numbers, so that a row of a study, its store and its caches tell one
network from another, and a file that was changed in the meantime is noticed.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from rmtfl.arrays import load

Array = NDArray[np.float64]

PREFIX = "file:"
ACCEPTED = "a vector of at least two numbers, one a neuron, as .npy, .txt or .csv"
ACCEPTED_BATCHES = "X of shape (n, d) and y of shape (n,), or X1, y1, X2, y2, ... for independent batches, as .npz"
LARGEST_MEAN = 5.0  # standard errors of the mean of N draws: more is no draw from a law of mean 0
LARGEST_SPREAD = 6.0  # standard errors of the mean square of n d entries, or n noises

_TEXT = re.compile(rf"{PREFIX}(?P<path>.+?)(?: \(sha256 (?P<hash>[0-9a-f]{{16}})\))?", re.DOTALL)


class Given(str):
    """The text 'file:PATH (sha256 ...)', with the arrays that the file holds.

    Attributes:
        arrays: read-only, in a fixed order.
    """

    arrays: tuple[Array, ...]

    __slots__ = ("arrays",)

    def __new__(cls, path: str, *arrays: NDArray[Any]) -> Self:
        """These arrays, named by the path as the study writes it."""
        kept = tuple(np.array(array, dtype=np.float64) for array in arrays)
        digest = hashlib.sha256()
        for array in kept:
            array.flags.writeable = False
            digest.update(array.tobytes())
        text = super().__new__(cls, f"{PREFIX}{path} (sha256 {digest.hexdigest()[:16]})")
        text.arrays = kept
        return text

    def __reduce__(self) -> tuple[type[Self], tuple[Any, ...]]:
        """What pickling and copying go through."""
        found = _TEXT.fullmatch(self)
        assert found is not None
        return type(self), (found["path"], *self.arrays)


class GivenLayer(Given):
    """The ā_i of one network."""

    __slots__ = ()

    @property
    def values(self) -> Array:
        """ā_i, shape (N,)."""
        return self.arrays[0]


class GivenBatches(Given):
    """The batches that one network is trained on: inputs and labels of the first, of the second, and so on."""

    __slots__ = ()

    @property
    def steps(self) -> int:
        """The number of batches: one, or one a step."""
        return len(self.arrays) // 2

    def batch(self, step: int) -> tuple[Array, Array]:
        """X of shape (n, d) and y of shape (n,), counted from 0; with one batch, that one at every step."""
        start = 2 * (step if self.steps > 1 else 0)
        return self.arrays[start], self.arrays[start + 1]


T = TypeVar("T", bound=Given)


def read(text: str, folder: Path) -> GivenLayer:
    """The layer that 'file:PATH' names, relative to a folder; with the hash of a layer's text, of these numbers only.

    Raises:
        ValueError: saying what is wrong with the file, and what would be accepted.
    """
    path, name = _place(text, folder, ACCEPTED)
    values = _read(path, (".npy", ".txt", ".csv"), ACCEPTED)
    if not isinstance(values, np.ndarray):
        raise ValueError(f"{path} holds no single array; expected {ACCEPTED}")
    if values.dtype.kind not in "iuf" or values.size < 2 or max(values.shape) != values.size:
        raise ValueError(f"{path} holds {values.dtype} of shape {values.shape}; expected {ACCEPTED}")
    layer = GivenLayer(name, values.ravel())
    _check(path, layer.values)
    return _unchanged(text, layer, path)


def read_batches(text: str, folder: Path) -> GivenBatches:
    """The batches that 'file:PATH' names, as `read` does for a layer.

    Raises:
        ValueError: saying what is wrong with the file, and what would be accepted.
    """
    path, name = _place(text, folder, ACCEPTED_BATCHES)
    arrays = _read(path, (".npz",), ACCEPTED_BATCHES)
    if isinstance(arrays, np.ndarray):
        raise ValueError(f"{path} holds a single array; expected {ACCEPTED_BATCHES}")
    batches = GivenBatches(name, *_pairs(path, {key: np.asarray(array) for key, array in arrays.items()}))
    _check_batches(path, batches)
    return _unchanged(text, batches, path)


def _place(text: str, folder: Path, accepted: str) -> tuple[Path, str]:
    """Where the file is, and its path as the study writes it."""
    found = _TEXT.fullmatch(text)
    if found is None:
        raise ValueError(f"expected {PREFIX}PATH, {accepted}")
    return folder / found["path"], found["path"]


def _unchanged(text: str, read: T, path: Path) -> T:
    """What was read, if it is what a text with a hash means."""
    found = _TEXT.fullmatch(text)
    if found is not None and found["hash"] is not None and text != read:
        raise ValueError(f"the numbers in {path} have changed; expected those of hash {found['hash']}")
    return read


def _read(path: Path, suffixes: tuple[str, ...], accepted: str) -> NDArray[Any] | dict[str, NDArray[Any]]:
    suffix = path.suffix.lower()
    if suffix not in suffixes:
        raise ValueError(f"{path} has the suffix {path.suffix!r}; expected {accepted}")
    try:
        if suffix in (".npy", ".npz"):
            return load(path)
        return np.array([float(cell) for cell in re.split(r"[\s,]+", path.read_text(encoding="utf-8-sig").strip())])
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror or error}); expected {accepted}") from None
    except MemoryError:
        raise ValueError(f"{path} does not fit into memory; expected {accepted}") from None
    except ValueError as error:
        raise ValueError(f"{path} is not a numeric {suffix} file ({error}); expected {accepted}") from None


def _check(path: Path, values: Array) -> None:
    if not np.isfinite(values).all():
        raise ValueError(f"{path} holds NaN or infinity; expected {ACCEPTED}")
    scale = float(np.sqrt(np.mean(values**2)))
    if not 0.5 <= scale <= 2 or abs(np.mean(values)) > LARGEST_MEAN * scale / np.sqrt(values.size):
        raise ValueError(
            f"{path} has mean {np.mean(values):.3g} and root mean square {scale:.3g}; expected ā_i = √N a_i as drawn "
            "from a law of mean 0 and variance 1"
        )


def _pairs(path: Path, arrays: dict[str, NDArray[Any]]) -> list[NDArray[Any]]:
    """X and y, or X1, y1, X2, y2 and so on, in this order."""
    names = ["X", "y"]
    if "X" not in arrays:
        names = [f"{letter}{step}" for step in range(1, max(len(arrays) // 2, 1) + 1) for letter in "Xy"]
    if sorted(names) != sorted(arrays):
        raise ValueError(f"{path} holds {', '.join(arrays) or 'nothing'}; expected {ACCEPTED_BATCHES}")
    found = [arrays[name] for name in names]
    for name, array in zip(names, found, strict=True):
        rows, dimensions = (found[0].shape or (0,))[0], 2 if name[0] == "X" else 1
        if array.dtype.kind not in "iuf" or array.ndim != dimensions or array.shape[0] != rows or rows < 2:
            raise ValueError(f"{path} holds {name}, {array.dtype} of shape {array.shape}; expected {ACCEPTED_BATCHES}")
    if len({array.shape for array in found[::2]}) > 1:
        raise ValueError(f"{path} holds batches of several shapes; expected {ACCEPTED_BATCHES}")
    return found


def _check_batches(path: Path, batches: GivenBatches) -> None:
    for inputs, labels in map(batches.batch, range(batches.steps)):
        if not (np.isfinite(inputs).all() and np.isfinite(labels).all()):
            raise ValueError(f"{path} holds NaN or infinity; expected {ACCEPTED_BATCHES}")
        square = float(np.mean(inputs**2))
        if abs(square - 1) > LARGEST_SPREAD * np.sqrt(2 / inputs.size):
            raise ValueError(f"{path} holds inputs of mean square {square:.4g}; expected draws of N(0, I_d)")
