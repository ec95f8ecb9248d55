"""Texts that are found again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import onecopy
from onecopy.agents.calls import BUDGET, INVALID, NOT_FOUND, NOT_GRANTED, TOO_LARGE
from onecopy.agents.grants.memory import texts as texts_of
from onecopy.agents.grants.memory.memory import METADATA_BYTES, TEXT_BYTES, Memory
from onecopy.agents.grants.memory.segments import PREFIX, Segments
from onecopy.agents.grants.memory.texts import ROW_BYTES, MemoryDatabase
from onecopy.agents.manifest.grants import MemoryGrant
from onecopy.agents.manifest.quantities import Size
from tests.agents.grants.memory.embedders import Letters
from tests.agents.grants.refusals import refusal

LETTERS = Letters()


@pytest.fixture
def store():
    with onecopy.start("memory", capacity="64MiB") as store:
        yield store


@pytest.fixture
def database(tmp_path: Path):
    database = MemoryDatabase(tmp_path / "memory.sqlite")
    yield database
    database.close()


def memory_of(database: MemoryDatabase, store: Any, agent: str = "one", **how: Any) -> Memory:
    grant = MemoryGrant(collections=("notes", "reviews"), quota=Size(how.get("quota", 1 << 20)))
    return Memory(grant, database, Segments(store), how.get("embedder", LETTERS), agent)


def call(memory: Memory, function: str, *arguments: Any) -> Any:
    return asyncio.run(memory.call(function, list(arguments)))


def texts(memory: Memory, query: str, count: int = 10, collection: str = "notes") -> list[str]:
    return [hit["text"] for hit in call(memory, "search", collection, query, count)]


def test_what_is_nearest_is_found_first_with_its_metadata(database, store) -> None:
    memory = memory_of(database, store)
    id = call(memory, "add", "notes", "abba", '{"line": 1}')
    call(memory, "add", "notes", "xyz", "")
    call(memory, "add", "notes", "abbaz", "")
    hits = call(memory, "search", "notes", "abab", 2)
    assert [hit["text"] for hit in hits] == ["abba", "abbaz"]
    assert hits[0]["id"] == id
    assert hits[0]["metadata"] == '{"line": 1}'
    assert hits[0]["score"] == pytest.approx(1, abs=1e-3)
    assert hits[0]["score"] > hits[1]["score"]
    assert call(memory, "search", "notes", "abab", 0) == []
    assert call(memory, "search", "reviews", "abab", 2) == []


def test_the_vectors_are_tensors_of_the_store_and_loaded_without_copies(database, store) -> None:
    memory = memory_of(database, store)
    call(memory, "add", "notes", "abba", "")
    assert texts(memory, "a") == ["abba"]
    (name,) = store.names(PREFIX)
    found = store.load(name)["vectors"]
    assert isinstance(found, np.ndarray)
    assert (found.dtype, found.shape) == (np.float32, (1, 26))
    version = store.load(name)["version"]
    segment = Segments(store).find(b"one\0notes", 0, version)
    assert segment is not None
    assert not segment.vectors.flags.owndata


def test_memory_survives_the_store_and_the_server(tmp_path: Path) -> None:
    for number in range(3):
        database = MemoryDatabase(tmp_path / "memory.sqlite")
        with onecopy.start("memory", capacity="64MiB") as store:
            memory = memory_of(database, store)
            assert len(texts(memory, "a")) == number
            call(memory, "add", "notes", "a" * (number + 1), "")
        database.close()


def test_vectors_of_another_file_are_not_taken_for_those_of_this(tmp_path: Path, store) -> None:
    for text, query in (("abba", "a"), ("xyzx", "x")):
        database = MemoryDatabase(tmp_path / f"{text}.sqlite")
        memory = memory_of(database, store)
        call(memory, "add", "notes", text, "")
        (hit,) = call(memory, "search", "notes", query, 1)
        assert (hit["text"], hit["score"] > 0.5) == (text, True)
        database.close()


def test_a_store_that_is_full_or_gone_makes_it_slower_only(database) -> None:
    wide = Letters(width=10_000)
    with onecopy.start("small", capacity="64KiB") as store:
        memory = memory_of(database, store, embedder=wide)
        for text in ("abba", "xyz", "xy"):
            call(memory, "add", "notes", text, "")
        assert texts(memory, "abba", 1) == ["abba"]
        assert store.names(PREFIX) == []
    call(memory, "add", "notes", "baab", "")
    assert texts(memory, "abba", 2) == ["abba", "baab"]


def test_what_is_forgotten_is_found_no_more(database, store) -> None:
    memory = memory_of(database, store)
    id = call(memory, "add", "notes", "abba", "")
    other = call(memory, "add", "notes", "abb", "")
    assert texts(memory, "abba") == ["abba", "abb"]
    assert call(memory, "forget", "notes", id) is None
    assert texts(memory, "abba") == ["abb"]
    call(memory, "forget", "notes", other)
    assert texts(memory, "abba") == []
    assert store.names(PREFIX) == []
    assert call(memory, "add", "notes", "abba", "") not in (id, other)
    for wrong in (id, other, "", "x", "-1", "9" * 30, "²"):
        assert asyncio.run(refusal(memory, "forget", "notes", wrong))[0] == NOT_FOUND


def test_a_text_that_is_added_again_is_there_once(database, store) -> None:
    memory = memory_of(database, store)
    id = call(memory, "add", "notes", "abba", "1")
    assert call(memory, "add", "notes", "abba", "1") == id
    assert call(memory, "add", "notes", "abba", "2") != id
    assert call(memory, "add", "notes", "abba1", "") != call(memory, "add", "notes", "abba", "1")
    assert len(texts(memory, "abba")) == 3


def test_nobody_finds_what_another_agent_remembers(database, store) -> None:
    one, two = memory_of(database, store), memory_of(database, store, "two")
    id = call(one, "add", "notes", "abba", "")
    call(one, "search", "notes", "abba", 1)
    assert texts(two, "abba") == []
    assert texts(one, "abba", collection="reviews") == []
    assert asyncio.run(refusal(two, "forget", "notes", id))[0] == NOT_FOUND
    for collection in ("other", "", "notes\0", "one\0notes", "../one/notes"):
        code, message = asyncio.run(refusal(two, "search", collection, "abba", 1))
        assert code == NOT_GRANTED
        assert "[grants.memory]" in message


def test_the_quota_is_the_agents_in_all_collections(database, store) -> None:
    quota = 2 * (ROW_BYTES + 4 + 26 * 4)
    memory = memory_of(database, store, quota=quota)
    id = call(memory, "add", "notes", "abba", "")
    call(memory, "add", "reviews", "abba", "")
    code, message = asyncio.run(refusal(memory, "add", "notes", "x", ""))
    assert code == BUDGET
    assert "[grants.memory]" in message
    assert texts(memory, "x") == ["abba"]
    call(memory, "forget", "notes", id)
    call(memory, "add", "notes", "x", "")
    call(memory_of(database, store, "two", quota=quota), "add", "notes", "abba", "")


def test_texts_have_limits(database, store) -> None:
    memory = memory_of(database, store, quota=1 << 30)

    def refused(*arguments: Any) -> str:
        return asyncio.run(refusal(memory, *arguments))[0]

    assert refused("add", "notes", " \n", "") == INVALID
    assert refused("add", "notes", "x" * (TEXT_BYTES + 1), "") == TOO_LARGE
    assert refused("add", "notes", "x", "x" * (METADATA_BYTES + 1)) == TOO_LARGE
    assert refused("search", "notes", "", 1) == INVALID
    assert refused("search", "notes", "x", -1) == INVALID
    assert refused("search", "notes", "x", 1 << 40) == INVALID
    for number in range(40):
        call(memory, "add", "notes", str(number) + "x" * (TEXT_BYTES - 10), "")
    assert refused("search", "notes", "x", 40) == TOO_LARGE
    assert len(texts(memory, "x", 5)) == 5


def test_vectors_of_another_model_are_made_anew(database, store) -> None:
    memory = memory_of(database, store)
    for text in ("abba", "xyz"):
        call(memory, "add", "notes", text, "")
    other = Letters("other", width=13)
    memory = memory_of(database, store, embedder=other)
    assert texts(memory, "abba", 1) == ["abba"]
    assert other.count == 3
    assert texts(memory, "abba", 1) == ["abba"]
    assert other.count == 4


actions = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.text("abxyz", min_size=1, max_size=4)),
        st.tuples(st.just("forget"), st.integers(0, 20)),
        st.tuples(st.just("search"), st.text("abxyz", min_size=1, max_size=4)),
        st.tuples(st.just("lose"), st.just(0)),
    ),
    max_size=30,
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(actions=actions)
def test_it_finds_what_comparing_all_texts_finds(
    store, tmp_path_factory: pytest.TempPathFactory, actions: Any
) -> None:
    database = MemoryDatabase(tmp_path_factory.mktemp("memory") / "memory.sqlite")
    memory = memory_of(database, store)
    known: dict[str, str] = {}
    patch = pytest.MonkeyPatch()
    patch.setattr(texts_of, "ROWS", 3)
    try:
        for action, what in actions:
            if action == "add":
                known[call(memory, "add", "notes", what, "")] = what
            elif action == "forget" and known:
                id = sorted(known)[what % len(known)]
                call(memory, "forget", "notes", id)
                del known[id]
            elif action == "lose":
                store.remove(store.names(PREFIX))
            elif action == "search":
                found = call(memory, "search", "notes", what, 100)
                vectors = asyncio.run(LETTERS.embed([what, *known.values()]))
                scores = vectors[1:] @ vectors[0] if known else np.empty(0)
                assert {hit["id"] for hit in found} == set(known)
                assert [hit["score"] for hit in found] == pytest.approx(
                    sorted(scores.tolist(), reverse=True), abs=1e-5
                )
                assert all(known[hit["id"]] == hit["text"] for hit in found)
    finally:
        patch.undo()
        database.close()
