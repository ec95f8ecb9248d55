"""Values by key, of an agent and of its conversations."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onecopy.agents.calls import BUDGET, INVALID, TOO_LARGE, Refused
from onecopy.agents.grants.kv import KEY_BYTES, ROW_BYTES, VALUE_BYTES, Kv, KvDatabase
from onecopy.agents.manifest.grants import KvGrant
from onecopy.agents.manifest.quantities import Size
from tests.agents.grants.refusals import refusal


@pytest.fixture
def database(tmp_path: Path):
    database = KvDatabase(tmp_path / "kv.sqlite")
    yield database
    database.close()


def kv_of(database: KvDatabase, agent: str = "one", subject: str = "a#1", quota: int = 1 << 20):
    return Kv(KvGrant(quota=Size(quota)), database, agent, subject)


def call(kv: Kv, function: str, *arguments: Any) -> Any:
    return asyncio.run(kv.call(function, list(arguments)))


def test_a_value_outlives_its_run_and_the_server(tmp_path: Path) -> None:
    for expected in (None, "héllo\0"):
        database = KvDatabase(tmp_path / "kv.sqlite")
        kv = kv_of(database)
        assert call(kv, "get", "agent", "key") == expected
        assert call(kv, "set", "agent", "key", "héllo\0") is None
        database.close()


def test_a_value_is_replaced_and_deleted(database: KvDatabase) -> None:
    kv = kv_of(database)
    for value in ("1", "22", ""):
        call(kv, "set", "conversation", "key", value)
        assert call(kv, "get", "conversation", "key") == value
    for _ in range(2):
        call(kv, "delete", "conversation", "key")
        assert call(kv, "get", "conversation", "key") is None


def test_nobody_sees_what_another_agent_or_conversation_has(database: KvDatabase) -> None:
    everybody = [
        (kv_of(database, agent, subject), scope)
        for agent in ("one", "two", "one\0")
        for subject in ("", "a#1", ":", "a#2")
        for scope in ("agent", "conversation")
    ]
    for number, (kv, scope) in enumerate(everybody):
        call(kv, "set", scope, f"key{number}", "x")
    for number, (kv, scope) in enumerate(everybody):
        found = set(call(kv, "keys", scope, ""))
        if scope == "conversation":
            assert found == {f"key{number}"}
        else:
            assert f"key{number}" in found
            assert len(found) == 4  # what the agent set in its other conversations


@pytest.mark.parametrize(
    "key", ["' OR 1=1 --", 'a"; DROP TABLE kv; --', "%", "_", "*", "../two", "a\0b", "\x7f", "😀"]
)
def test_a_key_is_just_text(database: KvDatabase, key: str) -> None:
    kv = kv_of(database)
    call(kv, "set", "agent", "other", "untouched")
    call(kv, "set", "agent", key, key)
    assert call(kv, "get", "agent", key) == key
    assert call(kv, "keys", "agent", key) == [key]
    assert call(kv, "get", "agent", "other") == "untouched"


def test_keys_and_values_have_limits(database: KvDatabase) -> None:
    kv = kv_of(database, quota=1 << 30)

    def refused(*arguments: Any) -> str:
        return asyncio.run(refusal(kv, *arguments))[0]

    assert refused("set", "agent", "", "x") == INVALID
    assert refused("set", "agent", "k" * (KEY_BYTES + 1), "x") == TOO_LARGE
    assert refused("set", "agent", "k", "x" * (VALUE_BYTES + 1)) == TOO_LARGE
    assert refused("get", "world", "k") == INVALID
    assert refused("drop", "agent") == INVALID
    call(kv, "set", "agent", "k" * KEY_BYTES, "x" * VALUE_BYTES)


def test_many_keys_are_listed_by_prefix_only(database: KvDatabase) -> None:
    kv = kv_of(database, quota=1 << 30)

    def rows(sql) -> None:
        sql.executemany(
            "INSERT INTO kv VALUES (?, ?, ?, ?)",
            [(b"one", b"", f"{number:0512}".encode(), b"") for number in range(2100)],
        )

    asyncio.run(database.run(rows))
    assert asyncio.run(refusal(kv, "keys", "agent", ""))[0] == TOO_LARGE
    assert len(call(kv, "keys", "agent", f"{0:0510}")) == 100


def test_the_quota_is_the_agents_in_all_its_conversations(database: KvDatabase) -> None:
    quota = 2 * (ROW_BYTES + 1 + 100)
    first = kv_of(database, subject="1", quota=quota)
    second = kv_of(database, subject="2", quota=quota)
    call(first, "set", "agent", "k", "x" * 100)
    call(first, "set", "conversation", "k", "x" * 100)
    code, message = asyncio.run(refusal(second, "set", "conversation", "k", ""))
    assert code == BUDGET
    assert "[grants.kv]" in message
    assert asyncio.run(refusal(first, "set", "agent", "k", "x" * 101))[0] == BUDGET
    assert call(first, "get", "agent", "k") == "x" * 100  # the refusal changed nothing
    call(first, "delete", "agent", "k")
    call(second, "set", "conversation", "k", "")
    call(kv_of(database, agent="two", quota=quota), "set", "agent", "k", "x" * 100)


steps = st.lists(
    st.tuples(
        st.sampled_from(["set", "delete"]),
        st.sampled_from(["agent", "conversation"]),
        st.sampled_from(["a", "b", "é"]),
        st.integers(0, 300),
    ),
    max_size=20,
)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=steps)
def test_it_is_a_dict_with_a_quota(tmp_path_factory: pytest.TempPathFactory, steps) -> None:
    quota = 600
    database = KvDatabase(tmp_path_factory.mktemp("kv") / "kv.sqlite")
    kv = kv_of(database, quota=quota)
    expected: dict[tuple[str, str], str] = {}

    def size(rows: dict[tuple[str, str], str]) -> int:
        return sum(ROW_BYTES + len(key[1].encode()) + len(value) for key, value in rows.items())

    async def play() -> None:
        for function, scope, key, length in steps:
            if function == "delete":
                await kv.call("delete", [scope, key])
                expected.pop((scope, key), None)
                continue
            wanted = {**expected, (scope, key): "x" * length}
            try:
                await kv.call("set", [scope, key, "x" * length])
                assert size(wanted) <= quota
                expected.update(wanted)
            except Refused:
                assert size(wanted) > quota
        for scope in ("agent", "conversation"):
            keys = await kv.call("keys", [scope, ""])
            found = {(scope, key): await kv.call("get", [scope, key]) for key in keys}
            assert found == {key: value for key, value in expected.items() if key[0] == scope}

    asyncio.run(play())
    database.close()
