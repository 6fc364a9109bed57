"""Where trials run: in this process, in worker processes, or on a Dask cluster. All are `concurrent.futures` executors.

A process pool of the standard library breaks as a whole when one of its workers dies, and takes the trials of all the
others with it. Here every worker is a pool of its own, so that a dying worker loses its own trial only.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import ParamSpec, TypeVar

from rmtfl.errors import BadInput

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Pool:
    """An executor and how to use it.

    Attributes:
        executor: takes the trials.
        window: how many trials to hand it at once; twice its workers keeps all of them busy.
        lost: the exceptions that say that a worker died, so that its trial is worth another try.
        retries: of such a trial; a worker that was taken away by chance is not taken away three times.
    """

    executor: Executor
    window: int
    lost: tuple[type[BaseException], ...] = (BrokenExecutor,)
    retries: int = 2


def open_pool(workers: int, scheduler: str | None = None) -> AbstractContextManager[Pool]:
    """The pool that the command line asks for: a Dask scheduler's, else worker processes, or this process for one."""
    if scheduler is not None:
        return dask(scheduler)
    return serial() if workers == 1 else processes(workers)


@contextmanager
def serial() -> Iterator[Pool]:
    """Trials in this process, one after the other."""
    yield Pool(_Serial(), window=1)


@contextmanager
def processes(workers: int) -> Iterator[Pool]:
    """Trials in worker processes, started afresh ('spawn'), which end with this process however it ends."""
    executor = _Processes(workers)
    try:
        yield Pool(executor, window=2 * workers)
    finally:
        executor.shutdown(cancel_futures=True)


@contextmanager
def dask(address: str) -> Iterator[Pool]:
    """Trials on an existing Dask cluster, through its client's own executor.

    Raises:
        BadInput: if `distributed` is not installed, or no scheduler answers at the address.
    """
    try:
        from distributed import Client, KilledWorker
    except ImportError:
        raise BadInput("key 'scheduler': needs the package distributed: pip install 'rmtfl[dask]'") from None
    try:
        client = Client(address, timeout="10s", set_as_default=False)
    except (OSError, ValueError) as error:
        raise BadInput(f"key 'scheduler': value {address!r}: no Dask scheduler answers there ({error})") from None
    with client:
        window = 2 * max(1, sum(client.nthreads().values()))
        # The scheduler tries a lost trial again by itself, and raises KilledWorker when it has given up.
        yield Pool(client.get_executor(pure=False), window, lost=(BrokenExecutor, KilledWorker), retries=0)


class _Serial(Executor):
    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class _Processes(Executor):
    """Threads that each wait on a worker process of their own."""

    def __init__(self, workers: int) -> None:
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="rmtfl-worker")
        self._own = threading.local()
        self._pools: list[ProcessPoolExecutor] = []

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        return self._threads.submit(self._in_own_process, partial(fn, *args, **kwargs))

    def _in_own_process(self, call: Callable[[], T]) -> T:
        pool: ProcessPoolExecutor | None = getattr(self._own, "pool", None)
        if pool is None:
            pool = ProcessPoolExecutor(
                1, mp_context=multiprocessing.get_context("spawn"), initializer=_end_with_the_parent
            )
            self._own.pool = pool
            self._pools.append(pool)
        try:
            return pool.submit(call).result()
        except BrokenExecutor:
            self._own.pool = None
            raise

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._threads.shutdown(wait, cancel_futures=cancel_futures)
        for pool in self._pools:
            pool.shutdown(wait)


def _end_with_the_parent() -> None:
    """In a worker: die with the parent, even a killed one, and at once and without a traceback on an interrupt."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
