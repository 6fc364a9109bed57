"""Trials and a driver for tests; worker processes import them from here."""

from __future__ import annotations

import os
import signal
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import SeedSequence, default_rng

from rmtfl import study
from rmtfl.montecarlo.executors import open_pool
from rmtfl.montecarlo.run import run
from rmtfl.store import Store

STUDY: dict[str, Any] = {
    "schema": 1,
    "title": "a study for tests",
    "observable": "weights",
    "network": {"activation": "tanh(x)"},
    "data": {"target": "tanh(x)"},
    "sizes": {"width_ratio": 1, "sample_ratio": 1, "width": [20, 30]},
    "training": {"batches": "reused", "alpha": ["3/10"], "scale": [2]},
    "montecarlo": {"trials": 5, "seed": 11},
}


def make_study(**changes: Any) -> study.Study:
    """The study above with some of its tables changed."""
    document = {key: dict(value) if isinstance(value, dict) else value for key, value in STUDY.items()}
    for key, value in changes.items():
        document[key] = {**document.get(key, {}), **value} if isinstance(value, dict) else value
    return study.from_document(document)


def normals(setup: Any, seed: SeedSequence) -> dict[str, np.ndarray]:
    return {"normals": default_rng(seed).standard_normal((2, 3)), "width": np.array(setup.sizes.width)}


def slow(setup: Any, seed: SeedSequence) -> dict[str, np.ndarray]:
    time.sleep(0.05)
    return normals(setup, seed)


def noting(folder: Path, setup: Any, seed: SeedSequence) -> dict[str, np.ndarray]:
    """As `normals`, and leaves an empty file named by the seed, the time and the process for each time it is called."""
    (folder / f"{hash_of(seed)}-{time.monotonic_ns()}-{os.getpid()}").touch()
    return slow(setup, seed)


def killed_once(folder: Path, setup: Any, seed: SeedSequence) -> dict[str, np.ndarray]:
    """As `normals`, but the second trial's worker is killed the first time."""
    marker = folder / "death"
    if seed.spawn_key[-1] == 1 and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return noting(folder, setup, seed)


def killed_always(setup: Any, seed: SeedSequence) -> dict[str, np.ndarray]:
    if seed.spawn_key[-1] == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return normals(setup, seed)


def failing(setup: Any, seed: SeedSequence) -> dict[str, np.ndarray]:
    if seed.spawn_key[-1] == 1:
        raise ZeroDivisionError("of trial 1")
    return normals(setup, seed)


def hash_of(seed: SeedSequence) -> str:
    return "".join(f"{word:08x}" for word in seed.generate_state(2))


def drive(store_path: str, trials: int, workers: int, folder: str) -> None:
    """Do all trials of the test study."""
    asked = make_study(montecarlo={"trials": trials})
    with Store.open(Path(store_path), asked) as store, open_pool(workers) as pool:
        for _ in run(store, partial(noting, Path(folder)), pool):
            pass


if __name__ == "__main__":
    drive(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
