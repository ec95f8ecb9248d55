"""Moments in which this process must not be forked, and what a forked child does without.

    with no_fork: ...

keeps other threads from forking until the block is done. For short things only.
"""

from __future__ import annotations

import os
import threading
from typing import Final

# Re-entrant, for a thread that holds it may come to fork.
no_fork = threading.RLock()

os.register_at_fork(
    before=no_fork.acquire, after_in_parent=no_fork.release, after_in_child=no_fork.release
)

# Descriptors of segments and files that threads of this process are filling right now.
filling: Final[set[int]] = set()


def _close_filling() -> None:
    while filling:
        os.close(filling.pop())  # Else the child would keep their memory when the entry is gone.


os.register_at_fork(after_in_child=_close_filling)
