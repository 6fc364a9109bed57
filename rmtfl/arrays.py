"""Arrays in .npy and .npz files, from which nothing is unpickled."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.typing import NDArray

# What numpy raises of files that are not what their names say; it reads headers as Python's literals.
_MALFORMED = (TypeError, EOFError, RuntimeError, TokenError, zipfile.BadZipFile, zlib.error)


def load(path: Path) -> NDArray[Any] | dict[str, NDArray[Any]]:
    """The array of a .npy file, or those of a .npz file by name; what such an archive holds beside them comes as bytes.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if it is neither.
        MemoryError: if what it holds does not fit into memory.
    """
    try:
        with path.open("rb") as file:  # numpy leaves a broken archive open
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return loaded
            with loaded:
                return {name: loaded[name] for name in loaded.files}
    except _MALFORMED as error:
        raise ValueError(str(error)) from None
