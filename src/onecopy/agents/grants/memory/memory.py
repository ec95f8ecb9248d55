"""Texts that are found again by their meaning: `memory` of the WIT."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from onecopy.agents.calls import FAILED, INVALID, NOT_FOUND, NOT_GRANTED, TOO_LARGE, Refused
from onecopy.agents.grants.arguments import checked
from onecopy.agents.grants.memory.texts import Collection

if TYPE_CHECKING:
    import numpy as np

    from onecopy.agents.grants.memory.embedder import Embedder
    from onecopy.agents.grants.memory.segments import Segments
    from onecopy.agents.grants.memory.texts import MemoryDatabase
    from onecopy.agents.manifest.grants import MemoryGrant

TEXT_BYTES: Final = 64 << 10
METADATA_BYTES: Final = 16 << 10
HITS: Final = 100
HIT_BYTES: Final = 2 << 20
"""The most that all texts found together may have."""
_AT_ONCE: Final = 64

_Count = Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)]
_FUNCTIONS: Final = {
    "add": tuple[str, str, str],
    "search": tuple[str, str, _Count],
    "forget": tuple[str, str],
}


class Memory:
    """The memory of one agent (a `Capability`).

        memory = Memory(manifest.grants.memory, database, segments, embedder, "code-review")
        await memory.call("add", ["reviews", "Prefers short names.", ""])

    Args:
        grant: `[grants.memory]` of the manifest.
        database: where texts and vectors are on disk.
        segments: where the vectors are searched.
        embedder: makes them.
        agent: whose memory it is.
    """

    def __init__(
        self,
        grant: MemoryGrant,
        database: MemoryDatabase,
        segments: Segments,
        embedder: Embedder,
        agent: str,
    ) -> None:
        self._quota = int(grant.quota)
        self._database = database
        self._embedder = embedder
        self._collections = {name: Collection(agent, name, segments) for name in grant.collections}

    async def call(self, function: str, arguments: list[Any]) -> Any:
        """Carry out `add`, `search` or `forget`.

        Raises:
            Refused: `not-granted` for another collection; `not-found`; `invalid`; `too-large`;
                `budget` beyond the quota; `unavailable` without embedder or disk.
        """
        name, *rest = checked(_FUNCTIONS, function, arguments)
        collection = self._granted(name)
        match function, rest:
            case "add", [text, metadata]:
                return await self._add(collection, text, metadata)
            case "search", [query, count]:
                return await self._search(collection, query, count)
            case _, [id]:
                return await self._forget(collection, id)

    def _granted(self, name: str) -> Collection:
        if name not in self._collections:
            listed = msgspec.json.encode([*self._collections, name]).decode()
            raise Refused(
                NOT_GRANTED,
                f"the collection {name!r} is not granted; add to agent.toml: [grants.memory] "
                f"collections = {listed}",
            )
        return self._collections[name]

    async def _add(self, collection: Collection, text: str, metadata: str) -> str:
        _check(text, TEXT_BYTES, "a text")
        if len(metadata.encode()) > METADATA_BYTES:
            raise Refused(TOO_LARGE, f"metadata has more than {METADATA_BYTES} bytes")
        # What is tried again after an end in between is there once.
        found = await self._database.run(lambda sql: collection.find(sql, text, metadata))
        if found is not None:
            return found
        vector = (await self._vector(text)).tobytes()
        model, quota = self._embedder.name, self._quota
        return await self._database.run(
            lambda sql: collection.add(sql, text, metadata, model, vector, quota)
        )

    async def _vector(self, text: str) -> np.ndarray[Any, Any]:
        import numpy as np

        found = np.ascontiguousarray((await self._embedder.embed([text]))[0], np.float32)
        if not np.isfinite(found).all():
            raise Refused(FAILED, f"the embedder {self._embedder.name!r} gave no finite numbers")
        return found

    async def _search(self, collection: Collection, query: str, count: int) -> list[Any]:
        _check(query, TEXT_BYTES, "a query")
        await self._refresh(collection)
        vector = await self._vector(query)
        hits = await self._database.run(
            lambda sql: collection.search(sql, vector, min(count, HITS))
        )
        if sum(len(hit.text) + len(hit.metadata) for hit in hits) > HIT_BYTES:
            raise Refused(TOO_LARGE, f"{len(hits)} texts are too much at once; search for fewer")
        return [msgspec.to_builtins(hit) for hit in hits]

    async def _refresh(self, collection: Collection) -> None:
        """Embed anew what another model has embedded; its vectors mean nothing to this one."""
        model = self._embedder.name
        while rows := await self._database.run(lambda sql: collection.stale(sql, model, _AT_ONCE)):
            vectors = await self._embedder.embed([text for _, text in rows])
            fresh = [
                (number, vector.tobytes())
                for (number, _), vector in zip(rows, vectors, strict=True)
            ]
            await self._database.run(
                lambda sql, fresh=fresh: collection.refresh(sql, model, fresh)  # type: ignore[misc]
            )

    async def _forget(self, collection: Collection, id: str) -> None:
        number = int(id) if id.isascii() and id.isdigit() and len(id) < 19 else -1
        if not await self._database.run(lambda sql: collection.forget(sql, number)):
            raise Refused(NOT_FOUND, f"there is no text {id[:40]!r}; it may be forgotten already")


def _check(text: str, most: int, what: str) -> None:
    if not text.strip():
        raise Refused(INVALID, f"{what} is empty")
    if len(text.encode()) > most:
        raise Refused(TOO_LARGE, f"{what} has more than {most} bytes; shorten it")
