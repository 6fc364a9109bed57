"""Trials of many settings through an executor: what is done next, with which seed, and what becomes of the results.

The seed of a trial comes from the study's seed, from what is simulated (`identity`) and from the trial's number: its
numbers do not depend on the executor, the number of workers, the order of the trials, or on what was done before.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.random import SeedSequence
from numpy.typing import NDArray

from rmtfl.errors import RmtflError
from rmtfl.montecarlo.executors import Pool
from rmtfl.montecarlo.threads import one_blas_thread
from rmtfl.setup import Table

Array = NDArray[np.float64]
Values = dict[str, Array]
Trial = Callable[[Any, SeedSequence], Values]

POLL = 0.2  # seconds between looks at what another run still has in hand


class TrialsLost(RmtflError):
    """Workers died over a trial each time that it was tried."""

    exit_status = 3


@dataclass(frozen=True)
class Job:
    """One trial to be done.

    Attributes:
        identity: what is simulated, as canonical text.
        index: the trial's number, from 0.
        setup: the setting handed to the trial function.
        seed: the study's seed.
    """

    identity: str
    index: int
    setup: Any = field(compare=False)
    seed: int


@dataclass(frozen=True)
class Finished:
    """A trial that was done and saved, and the seconds it took."""

    job: Job
    values: Values
    seconds: float


class TrialQueue(Protocol):
    """Where jobs come from and results go: a store."""

    def claim(self, count: int) -> Sequence[Job]:
        """At most `count` trials that are nobody else's; none if others have all that is left."""

    def pending(self) -> Sequence[Job]:
        """The trials without a result, whoever has them in hand."""

    def save_trial(self, job: Job, values: Values, seconds: float) -> None:
        """Keep a result."""


def identity(observable: str, setup: Table) -> str:
    """What is simulated, as canonical text: the whole setting, but for what is asked of the theory alone."""
    setting = setup.model_dump(mode="json", exclude={"theory"})
    return json.dumps({"observable": observable, **setting}, sort_keys=True)


def trial_seed(seed: int, identity: str, index: int) -> SeedSequence:
    """The seed of one trial: the study's seed as entropy, 128 bits of the identity's hash and the index as its path."""
    digest = hashlib.sha256(identity.encode()).digest()
    words = [int.from_bytes(digest[i : i + 4], "big") for i in range(0, 16, 4)]
    return SeedSequence(seed, spawn_key=(*words, index))


def run(queue: TrialQueue, trial: Trial, pool: Pool) -> Iterator[Finished]:
    """Do all trials of a queue, and yield each when it is done and saved.

    Args:
        queue: gives the jobs and keeps the results. Where another run works on the same queue, the two share the
            trials, and each returns when none is left.
        trial: a function that can be pickled; an array of one name has one shape in all trials of a setting.
        pool: where the trials run.

    Raises:
        TrialsLost: after all other trials, if workers died over one each time that it was tried; at once, if the
            executor takes no more work.
        Exception: whatever `trial` raises.
    """
    flying: dict[Future[tuple[Values, float]], Job] = {}
    deaths: Counter[Job] = Counter()
    given_up: set[Job] = set()
    try:
        while True:
            for job in queue.claim(pool.window - len(flying)):
                flying[_submit(pool, trial, job)] = job
            if not flying:
                if given_up.issuperset(queue.pending()):
                    break
                time.sleep(POLL)
                continue
            for future in wait(flying, return_when=FIRST_COMPLETED).done:
                job = flying.pop(future)
                try:
                    values, seconds = future.result()
                except pool.lost:
                    deaths[job] += 1
                    if deaths[job] > pool.retries:
                        given_up.add(job)
                    else:
                        flying[_submit(pool, trial, job)] = job
                    continue
                queue.save_trial(job, values, seconds)
                yield Finished(job, values, seconds)
    finally:
        for future in flying:
            future.cancel()
    if given_up:
        raise TrialsLost(f"{_listed(given_up)}: the worker died each time that it was tried; all other trials are done")


def sample(observable: str, setup: Table, trials: int, seed: int, trial: Trial) -> Values:
    """The numbers of a study's row, drawn in this process: arrays of shape (trials, ...)."""
    name = identity(observable, setup)
    results = [trial(setup, trial_seed(seed, name, index)) for index in range(trials)]
    return {key: np.stack([values[key] for values in results]) for key in results[0]}


def _submit(pool: Pool, trial: Trial, job: Job) -> Future[tuple[Values, float]]:
    try:
        return pool.executor.submit(_timed, trial, job.setup, trial_seed(job.seed, job.identity, job.index))
    except BrokenExecutor as error:
        raise TrialsLost(f"the executor takes no more trials ({error}); what is done is kept") from error


def _timed(trial: Trial, setup: Any, seed: SeedSequence) -> tuple[Values, float]:
    start = time.perf_counter()
    with one_blas_thread():
        values = trial(setup, seed)
    return values, time.perf_counter() - start


def _listed(jobs: set[Job]) -> str:
    first = min(jobs, key=lambda job: (job.identity, job.index))
    others = f" and {len(jobs) - 1} more" if len(jobs) > 1 else ""
    return f"trial {first.index} of {first.identity}{others}"
