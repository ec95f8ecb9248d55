"""Which modules cost workers, and which are not run any more for that."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from onecopy.errors import GuestError
from onecopy.guests.workers.progress import culprit

if TYPE_CHECKING:
    from onecopy.guests.wasm.module import Module

QUARANTINE: Final = 3
"""How many workers a module may cost."""


class Offenders:
    """Counts offences by tenant and module: what others do with a module is not held against it."""

    def __init__(self, limit: int = QUARANTINE) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, int], int] = {}

    def blame(self, tenant: str, number: int) -> None:
        """Count an offence of a module, by its number in `progress`."""
        with self._lock:
            self._counts[tenant, number] = self._counts.get((tenant, number), 0) + 1

    def count(self, tenant: str, module: Module) -> int:
        """Return the offences of a module."""
        return self._counts.get((tenant, culprit(module.digest)), 0)

    def check(self, tenant: str, module: Module) -> None:
        """Raise `GuestError` for a module that has cost too many workers."""
        count = self.count(tenant, module)
        if count >= self._limit:
            raise GuestError(
                f"module {module.digest[:16]} is not run any more: it has cost {count} workers; "
                "mend it, or make a new Pool"
            )

    def counts(self) -> dict[tuple[str, str], int]:
        """Return all offences: by tenant and the first 16 digits of the module's digest."""
        with self._lock:
            return {(tenant, f"{number:016x}"): n for (tenant, number), n in self._counts.items()}
