"""What the trials would take against what the machine has, before anything is drawn."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from rmtfl.errors import BadInput
from rmtfl.montecarlo.devices import HOST, Device

PROCESS = 200 * 2**20  # of a worker before its first trial: the interpreter and its libraries, 140 to 180 MiB seen
LIBRARY = 400 * 2**20  # the same with torch, or a GPU's context: 290 MiB seen with torch on a CPU


def fitting_workers(
    needs: Mapping[str, int],
    workers: int | None = None,
    available: int | None = None,
    device: Device = HOST,
    key: str = "sizes.width",
) -> int:
    """How many worker processes to use: what is asked for, else one a core as far as memory allows, or one a GPU.

    Args:
        needs: bytes at the peak of one trial, by what the row is called in messages.
        workers: as asked for; None leaves it to the machine.
        available: bytes; None asks the machine, or the device that has a memory of its own.
        device: where the trials run.
        key: of the study, which sets how much a trial needs.

    Raises:
        BadInput: if one trial, or as many as were asked for at once, would not fit; the message names the numbers.
    """
    if workers is not None and workers < 1:
        raise BadInput(f"key 'workers': value {workers}: expected at least 1")
    own = device.free_memory()
    free = available if available is not None else available_memory() if own is None else own
    where = "" if own is None else f" on {device.kind}"
    label, need = max(needs.items(), key=lambda item: item[1], default=("", 0))
    of_row = f" ({label})" if label else ""
    if need > free:
        raise BadInput(
            f"key '{key}': one trial{of_row} needs {shown_bytes(need)} of memory and {shown_bytes(free)} is "
            f"free{where}; expected sizes that fit"
        )
    process = PROCESS if device is HOST else LIBRARY
    fit = max(1, free // (need + process))
    if workers is not None and workers > 1 and workers > fit:
        raise BadInput(
            f"key 'workers': value {workers}: trials{of_row} of {shown_bytes(need)} each need "
            f"{shown_bytes(workers * (need + process))} at once and {shown_bytes(free)} is free{where}; "
            f"expected at most {fit}"
        )
    if workers is not None:
        return workers
    return min(fit, available_cores()) if own is None else 1


def available_cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def available_memory() -> int:
    """The bytes that could be taken without swapping: what the system has free, within the limits on the process."""
    free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for line in _lines("/proc/meminfo"):
        if line.startswith("MemAvailable:"):
            free = min(free, 1024 * int(line.split()[1]))
    limit, used = _lines("/sys/fs/cgroup/memory.max"), _lines("/sys/fs/cgroup/memory.current")
    if limit and used and limit[0] != "max":
        cached = sum(int(line.split()[1]) for line in _lines("/sys/fs/cgroup/memory.stat") if "inactive_file" in line)
        free = min(free, max(0, int(limit[0]) - int(used[0]) + cached))
    return free


def shown_bytes(count: int) -> str:
    """A number of bytes for messages: '96 MiB', '1.6e+13 GiB'."""
    return f"{count / 2**20:.3g} MiB" if count < 2**30 else f"{count / 2**30:.3g} GiB"


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="ascii").splitlines()
    except OSError:  # another system, or no limit
        return []
