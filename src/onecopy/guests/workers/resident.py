"""A guest that lives in this worker: its instance, its streams, what it said."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from onecopy.errors import GuestTrapped, OnecopyError
from onecopy.guests.instance.guest import Instance
from onecopy.guests.instance.host import Host
from onecopy.guests.workers import messages
from onecopy.guests.workers.messages import Failed
from onecopy.guests.workers.progress import culprit

if TYPE_CHECKING:
    import struct
    from collections.abc import Sequence

    import wasmtime

    from onecopy.guests.wasm.raw import Export
    from onecopy.guests.windows.source import Source

log = logging.getLogger("onecopy.guests")

# Of one call: what a guest says beyond that is dropped, and that this happened is said.
_LOG_CHARACTERS: Final = 32_000


class Resident:
    """One guest; the streams are its own now."""

    def __init__(
        self,
        digest: str,
        module: wasmtime.Module,
        memory_limit: int,
        start_seconds: float,
        config: bytes = b"",
        streams: Sequence[Source] = (),
    ) -> None:
        self.culprit = culprit(digest)
        self.functions: list[tuple[Export, struct.Struct]] = []
        self._streams = streams
        self._logs: list[tuple[int, str]] = []
        self._room = _LOG_CHARACTERS
        host = Host(config, streams)
        host.say = self._say
        try:
            self.instance = Instance(module, host, memory_limit, start_seconds)
        except BaseException:
            self._close_streams()
            raise

    def _say(self, level: int, text: str) -> None:
        if self._room < 0:
            return
        self._room -= len(text) + 1
        self._logs.append((level, text if self._room >= 0 else "(more than is kept of one call)"))

    def logs(self) -> tuple[tuple[int, str], ...]:
        """Return what it said since last time."""
        if not self._logs:
            return ()
        logs, self._logs, self._room = tuple(self._logs), [], _LOG_CHARACTERS
        return logs

    def prepare(self, name: str) -> tuple[int, Export]:
        """Find a function, and give it a number."""
        export = self.instance.export(name)
        known = [each for each, _ in self.functions]
        if export not in known:
            known.append(export)
            self.functions.append((export, messages.arguments(export.params)))
        return known.index(export), export

    def failed(self, error: Exception, seconds: float) -> Failed:
        """Say that a call failed; a guest that is good for nothing leaves at once."""
        ended = self.instance.failed
        if ended:
            self.close()
        if not isinstance(error, OnecopyError):
            log.error("a host function failed", exc_info=error)
            error = GuestTrapped(f"a host function failed: {error!r}")
        return Failed(type(error).__name__, str(error)[:4000], seconds, self.logs(), ended)

    def close(self) -> None:
        """End it; twice is fine."""
        self.instance.close()
        self._close_streams()

    def _close_streams(self) -> None:
        for each in self._streams:
            each.close()
