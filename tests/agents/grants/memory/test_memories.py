"""The memories of a server's agents."""

from __future__ import annotations

import asyncio
from pathlib import Path

import onecopy
from onecopy.agents.calls import UNAVAILABLE
from onecopy.agents.grants.memory.memories import Memories
from onecopy.agents.manifest.grants import MemoryGrant
from tests.agents.grants.memory.embedders import Letters
from tests.agents.grants.refusals import refusal

GRANT = MemoryGrant(collections=("notes",))


def test_each_agent_has_its_own(tmp_path: Path) -> None:
    with onecopy.start("memories", capacity="16MiB") as store:
        memories = Memories(tmp_path / "memory.sqlite", store, Letters())

        async def play() -> None:
            await memories.of(GRANT, "one").call("add", ["notes", "abba", ""])
            for agent, count in (("one", 1), ("two", 0)):
                found = await memories.of(GRANT, agent).call("search", ["notes", "abba", 5])
                assert len(found) == count

        asyncio.run(play())
        memories.close()
        memories.close()


def test_without_a_model_in_the_store_texts_are_refused(tmp_path: Path) -> None:
    with onecopy.start("memories", capacity="16MiB") as store:
        memories = Memories(tmp_path / "memory.sqlite", store)
        call = refusal(memories.of(GRANT, "one"), "add", "notes", "abba", "")
        code, message = asyncio.run(call)
        assert code == UNAVAILABLE
        assert "embedder/minilm" in message
        memories.close()
