"""What all agents of a server have in common: files, the client for HTTP, secrets, the store."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from onecopy.agents.grants.http.client import Client
from onecopy.agents.grants.kv import KvDatabase
from onecopy.agents.grants.llm.endpoint import Endpoint
from onecopy.agents.grants.llm.local import LocalModel
from onecopy.agents.grants.memory.embedder import StoreEmbedder
from onecopy.agents.grants.memory.memory import Memory
from onecopy.agents.grants.memory.segments import Segments
from onecopy.agents.grants.memory.texts import MemoryDatabase
from onecopy.agents.grants.tools import Registry
from onecopy.agents.grants.tools.threads import Threads
from onecopy.agents.records.records import Records
from onecopy.agents.secrets import Secrets
from onecopy.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Callable

    from onecopy.agents.grants.llm.model import ChatModel
    from onecopy.agents.manifest.grants import LlmGrant, MemoryGrant

_HOME: Final = "onecopy/agents"


class Resources:
    """Open files of a server, below one folder; `close` them.

    Args:
        folder: with queue, records and values; made, mode 0700, if need be.
        store: that `[grants.entries]` and local models are of.
        secrets: where secrets are had; the process's environment if not given.
        tools: that `[[grants.tools]]` may name; those of entry points if not given.
        client: for requests and endpoints.
        clock: seconds since 1970, of records.

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
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.folder = folder
        self.secrets = secrets or Secrets()
        self.tools = tools or Registry()
        self.threads = Threads()
        self.client = client or Client()
        self._store = store
        self._models: list[LocalModel] = []
        self._memory: tuple[MemoryDatabase, Segments, StoreEmbedder] | None = None
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.records = Records.open(
            folder / "records.sqlite",
            redact=lambda text: self.secrets.redactor.text(text),
            clock=clock,
        )
        try:
            self.kv = KvDatabase(folder / "kv.sqlite")
        except BaseException:
            self.records.reader.close()
            raise

    def require_store(self) -> Any:
        """Return the store that was named.

        Raises:
            InvalidArgument: none was.
        """
        if self._store is None:
            raise InvalidArgument(
                "entries, memory and models of a store need one; name it with --store NAME"
            )
        return self._store

    def chat_model(self, grant: LlmGrant | None) -> ChatModel | None:
        """Return what answers an agent's chats, or None if nothing is granted.

        Raises:
            InvalidArgument: its key is missing, or no store was named for its model.
        """
        if grant is None:
            return None
        if grant.model:
            local = LocalModel(self.require_store(), grant.model.partition(":")[2])
            self._models.append(local)
            return local
        return Endpoint(
            self.client,
            grant.url,
            key=self.secrets.word(grant.key) if grant.key else "",
            private=grant.private,
            seconds=float(grant.timeout),
        )

    def memory(self, grant: MemoryGrant, agent: str) -> Memory:
        """Return the memory of an agent; the texts of all are in one file.

        Raises:
            InvalidArgument: no store was named, or the file cannot be used.
        """
        if self._memory is None:
            database = MemoryDatabase(self.folder / "memory.sqlite")
            store = self.require_store()
            self._memory = (database, Segments(store), StoreEmbedder(store))
        return Memory(grant, *self._memory, agent)

    async def close(self) -> None:
        """Write what was recorded, and close all."""
        async with contextlib.AsyncExitStack() as stack:
            if self._memory is not None:
                database, _, embedder = self._memory
                stack.callback(database.close)
                stack.callback(embedder.close)
            for model in self._models:
                stack.callback(model.close)
            stack.callback(self.kv.close)
            stack.push_async_callback(self.records.close)
            stack.push_async_callback(self.client.close)


def default_folder() -> Path:
    """Return where a server keeps its files if nobody says: in the user's state folder."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state"
    return Path(state) / _HOME
