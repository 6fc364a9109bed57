"""One thread of linear algebra for as long as anything is being simulated.

How a product is split between threads decides the order of its sums, hence its last bits; one thread makes a trial the
same whichever process runs it, and several workers use the cores better than several threads do.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from threadpoolctl import threadpool_limits

_lock = threading.Lock()
_users = 0
_limits = ExitStack()
_torch: Any = None  # once its threads are held


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Hold BLAS and, where it has been imported, torch at one thread; the last of the users to leave restores them.

    The number of threads belongs to the whole process, so that trials in several threads of one process (an executor
    of threads, a Dask worker) must not restore it under each other.
    """
    global _users, _torch
    with _lock:
        if _users == 0:
            _limits.enter_context(threadpool_limits(limits=1, user_api="blas"))
        if _torch is None and "torch" in sys.modules:  # it may have been imported since the first user came
            _torch = sys.modules["torch"]
            _limits.callback(_torch.set_num_threads, _torch.get_num_threads())
            _torch.set_num_threads(1)
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                _limits.close()
                _torch = None
