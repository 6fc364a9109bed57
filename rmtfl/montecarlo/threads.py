"""One BLAS thread for as long as anything is being simulated.

How a product is split between threads decides the order of its sums, hence its last bits; one thread makes a trial the
same whichever process runs it, and several workers use the cores better than several threads do.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from threadpoolctl import threadpool_limits

_lock = threading.Lock()
_users = 0
_limit: Any = None


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Hold BLAS at one thread; the former number returns when the last of the users that overlap has left.

    The number of BLAS threads belongs to the whole process, so that trials in several threads of one process (an
    executor of threads, a Dask worker) must not restore it under each other.
    """
    global _users, _limit
    with _lock:
        if _users == 0:
            _limit = threadpool_limits(limits=1, user_api="blas")
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                _limit.restore_original_limits()
