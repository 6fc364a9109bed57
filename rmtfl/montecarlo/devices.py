"""Where a trial's arrays live: in memory as numpy's, or on a processor of their own as torch's or CuPy's.

What is simulated is written once, against the array API. Every random number is drawn by numpy, in memory, and handed
over by blocks: all devices simulate the very same draws, and their numbers agree to rounding.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any

import array_api_compat
import array_api_compat.numpy
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from rmtfl.errors import BadInput

ACCEPTED = (
    "cpu (numpy), cuda or cuda:1 (the first or second GPU, by torch), cupy:cuda (the current GPU, by CuPy) or torch:cpu"
)
HANDED_OVER = 2**22  # numbers drawn at once for another device: 32 MiB of memory

KINDS = ("numpy:cpu", "torch:cpu", "torch:cuda", "cupy:cuda")
LIBRARIES = {"cpu": "numpy", "cuda": "torch"}  # where a name says none
INSTALLED_BY = {"torch": 'pip install "rmtfl[torch]"', "cupy": "CuPy's own instructions"}

_NAME = re.compile(r"(?:(?P<library>numpy|torch|cupy):)?(?P<sort>cpu|cuda)(?::(?P<number>\d{1,3}))?")


@dataclass(frozen=True)
class Device:
    """A library of arrays and a processor.

    Attributes:
        kind: library and sort of processor, such as 'torch:cuda': numbers from one kind are not mixed with another's.
        xp: the library's namespace of the array API.
        processor: as the library calls it.
    """

    kind: str
    xp: Any
    processor: Any = None

    def array(self, values: NDArray[np.float64]) -> Any:
        """A numpy array as one of this device."""
        return self.xp.asarray(values, device=self.processor)

    def empty(self, *shape: int) -> Any:
        """Room for doubles."""
        return self.xp.empty(shape, dtype=self.xp.float64, device=self.processor)

    def zeros(self, *shape: int) -> Any:
        """Doubles that are zero."""
        return self.xp.zeros(shape, dtype=self.xp.float64, device=self.processor)

    def fill_normal(self, array: Any, rng: Generator) -> None:
        """Fill an (n, m) array with standard normal numbers, the same ones on every device."""
        if isinstance(array, np.ndarray):
            rng.standard_normal(out=array)
            return
        rows, columns = array.shape
        block = max(1, HANDED_OVER // columns)
        for start in range(0, rows, block):
            stop = min(start + block, rows)
            array[start:stop, :] = self.array(rng.standard_normal((stop - start, columns)))

    def free_memory(self) -> int | None:
        """The bytes that could be taken on a processor with a memory of its own; None on one that shares the host's."""
        match self.kind:
            case "torch:cuda":
                return int(import_module("torch").cuda.mem_get_info(self.processor)[0])
            case "cupy:cuda":
                return int(self.processor.mem_info[0])
        return None


HOST = Device("numpy:cpu", array_api_compat.numpy, "cpu")


def in_memory(array: Any) -> NDArray[np.float64]:
    """Any device's array as numpy's."""
    if array_api_compat.is_torch_array(array):
        array = array.cpu()
    elif array_api_compat.is_cupy_array(array):
        array = array.get()
    return np.asarray(array)


def kind(name: str) -> str:
    """The library and the sort of processor that a device's name means; neither needs to be there.

    Raises:
        BadInput: for a name that means none.
    """
    return _parsed(name)[0]


@lru_cache
def open_device(name: str) -> Device:
    """The device of a name.

    Args:
        name: cpu, cuda, cuda:NUMBER, torch:cpu or cupy:cuda.

    Raises:
        BadInput: for another name, a library that is not installed or a processor that is not there.
    """
    found, number = _parsed(name)
    if found == HOST.kind:
        return HOST
    library, _, sort = found.partition(":")
    try:
        xp = import_module(f"array_api_compat.{library}")
    except ImportError:
        raise BadInput(
            f"key 'device': value {name}: needs {library}, which is not installed ({INSTALLED_BY[library]} adds it); "
            "expected cpu"
        ) from None
    if sort == "cpu":
        return Device(found, xp, "cpu")
    count = _gpus(library)
    if number >= count:
        raise BadInput(f"key 'device': value {name}: {library} finds {count} GPUs here; expected one of them, or cpu")
    return Device(found, xp, xp.device("cuda", number) if library == "torch" else xp.cuda.Device())


def _parsed(name: str) -> tuple[str, int]:
    """The kind, and the number of the processor."""
    match = _NAME.fullmatch(name)
    if match is not None:
        found = f"{match['library'] or LIBRARIES[match['sort']]}:{match['sort']}"
        if found in KINDS and (match["number"] is None or found == "torch:cuda"):
            return found, int(match["number"] or 0)
    raise BadInput(f"key 'device': value {name}: expected {ACCEPTED}")


def _gpus(library: str) -> int:
    if library == "torch":
        return int(import_module("torch").cuda.device_count())
    try:
        return int(import_module("cupy").cuda.runtime.getDeviceCount())
    except RuntimeError:  # of a machine without the driver
        return 0
