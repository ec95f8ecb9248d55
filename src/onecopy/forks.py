"""Moments in which this process must not be forked.

    with no_fork: ...

keeps other threads from forking until the block is done. For short things only.
"""

from __future__ import annotations

import os
import threading

# Re-entrant, for a thread that holds it may come to fork.
no_fork = threading.RLock()

os.register_at_fork(
    before=no_fork.acquire, after_in_parent=no_fork.release, after_in_child=no_fork.release
)
