"""A second layer given as numbers: `file:PATH` in a study, the very ā_i of one network.

The text that stands for it carries a hash of the numbers, so that a row of a study, its store and its caches tell one
vector from another, and a file that was changed in the meantime is noticed.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

PREFIX = "file:"
ACCEPTED = "a vector of at least two numbers, one a neuron, as .npy, .txt or .csv"
LARGEST_MEAN = 5.0  # standard errors of the mean of N draws: more is no draw from a law of mean 0

_TEXT = re.compile(rf"{PREFIX}(?P<path>.+?)(?: \(sha256 (?P<hash>[0-9a-f]{{16}})\))?", re.DOTALL)


class GivenLayer(str):
    """The text 'file:PATH (sha256 ...)', with the numbers ā_i.

    Attributes:
        values: ā_i, shape (N,), read-only.
    """

    values: NDArray[np.float64]

    __slots__ = ("values",)

    def __new__(cls, path: str, values: NDArray[np.float64]) -> GivenLayer:
        """The layer of these numbers, named by the path as the study writes it."""
        values = np.array(values, dtype=np.float64)
        values.flags.writeable = False
        layer = super().__new__(cls, f"{PREFIX}{path} (sha256 {_hash(values)})")
        layer.values = values
        return layer

    def __reduce__(self) -> tuple[type[GivenLayer], tuple[str, NDArray[np.float64]]]:
        """What pickling and copying go through."""
        found = _TEXT.fullmatch(self)
        assert found is not None
        return GivenLayer, (found["path"], self.values)


def read(text: str, folder: Path) -> GivenLayer:
    """The layer that 'file:PATH' names, relative to a folder; with the hash of a layer's text, of these numbers only.

    Raises:
        ValueError: saying what is wrong with the file, and what would be accepted.
    """
    found = _TEXT.fullmatch(text)
    if found is None:
        raise ValueError(f"expected {PREFIX}PATH, {ACCEPTED}")
    path = folder / found["path"]
    try:
        values = np.asarray(_load(path))
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror or error}); expected {ACCEPTED}") from None
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path} is not a numeric {path.suffix} file ({error}); expected {ACCEPTED}") from None
    if values.dtype.kind not in "iuf" or values.size < 2 or max(values.shape) != values.size:
        raise ValueError(f"{path} holds {values.dtype} of shape {values.shape}; expected {ACCEPTED}")
    layer = GivenLayer(found["path"], values.ravel())
    _check(path, layer.values)
    if found["hash"] is not None and text != layer:
        raise ValueError(f"the numbers in {path} have changed; expected those of hash {found['hash']}")
    return layer


def _load(path: Path) -> NDArray[np.float64]:
    match path.suffix.lower():
        case ".npy":
            with path.open("rb") as file:
                return np.asarray(np.lib.format.read_array(file, allow_pickle=False))
        case ".txt" | ".csv":
            return np.array([float(cell) for cell in re.split(r"[\s,]+", path.read_text(encoding="utf-8-sig").strip())])
    raise ValueError(f"its suffix is {path.suffix!r}")


def _check(path: Path, values: NDArray[np.float64]) -> None:
    if not np.isfinite(values).all():
        raise ValueError(f"{path} holds NaN or infinity; expected {ACCEPTED}")
    scale = float(np.sqrt(np.mean(values**2)))
    if not 0.5 <= scale <= 2 or abs(np.mean(values)) > LARGEST_MEAN * scale / np.sqrt(values.size):
        raise ValueError(
            f"{path} has mean {np.mean(values):.3g} and root mean square {scale:.3g}; expected ā_i = √N a_i as drawn "
            "from a law of mean 0 and variance 1"
        )


def _hash(values: NDArray[np.float64]) -> str:
    return hashlib.sha256(values.tobytes()).hexdigest()[:16]
