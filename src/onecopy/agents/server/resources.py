"""What all agents of a server have in common: files, the client for HTTP, secrets, the store."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from onecopy.agents.grants.http.client import Client
from onecopy.agents.grants.kv import KvDatabase
from onecopy.agents.grants.tools import Registry
from onecopy.agents.grants.tools.threads import Threads
from onecopy.agents.records.records import Records
from onecopy.agents.secrets import Secrets
from onecopy.errors import InvalidArgument

if TYPE_CHECKING:
    from onecopy.agents.grants.entries import Reader

_HOME: Final = "onecopy/agents"


class Resources:
    """Open files of a server, below one folder; `close` them.

    Args:
        folder: with queue, records and values; made, mode 0700, if need be.
        store: that `[grants.entries]` and local models are of.
        secrets: where secrets are had; the process's environment if not given.
        tools: that `[[grants.tools]]` may name; those of entry points if not given.
        client: for requests and endpoints.

    Raises:
        QueueUnavailable: another server has the folder open, or it cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        *,
        store: Any = None,
        secrets: Secrets | None = None,
        tools: Registry | None = None,
        client: Client | None = None,
    ) -> None:
        self.folder = folder
        self.secrets = secrets or Secrets()
        self.tools = tools or Registry()
        self.threads = Threads()
        self.client = client or Client()
        self._store = store
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.records = Records.open(
            folder / "records.sqlite", redact=lambda text: self.secrets.redactor.text(text)
        )
        try:
            self.kv = KvDatabase(folder / "kv.sqlite")
        except BaseException:
            self.records.reader.close()
            raise

    @property
    def store(self) -> Reader:
        """The store that was named.

        Raises:
            InvalidArgument: none was.
        """
        if self._store is None:
            raise InvalidArgument("an agent reads entries of a store; name it with --store NAME")
        reader: Reader = self._store
        return reader

    async def close(self) -> None:
        """Write what was recorded, and close all."""
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(self.kv.close)
            stack.push_async_callback(self.records.close)
            stack.push_async_callback(self.client.close)


def default_folder() -> Path:
    """Return where a server keeps its files if nobody says: in the user's state folder."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state"
    return Path(state) / _HOME
