"""The pools of this process: closed when it ends, dropped in its forked children."""

from __future__ import annotations

import atexit
import functools
import os
import threading
import weakref
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from onecopy.guests.workers.pool import Pool

_pools: Final[weakref.WeakSet[Pool]] = weakref.WeakSet()
_lock = threading.Lock()


def keep(pool: Pool) -> None:
    """Have a pool closed at this process's exit."""
    _pools.add(pool)


def default_pool() -> Pool:
    """Return the pool of one worker that guests without a pool live in; it ends at exit."""
    with _lock:  # else two threads would start one each
        return _make()


@functools.cache
def _make() -> Pool:
    from onecopy.guests.workers.pool import Pool

    return Pool()


def _forsake_all() -> None:
    global _lock
    _lock = threading.Lock()
    for pool in list(_pools):
        pool.forsake()
    _pools.clear()
    _make.cache_clear()


def _close_all() -> None:
    for pool in list(_pools):
        pool.close()


os.register_at_fork(after_in_child=_forsake_all)
atexit.register(_close_all)
