"""Entries of a store, to read."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import torch

import onecopy
from onecopy.agents.calls import INVALID, NOT_FOUND, NOT_GRANTED, TOO_LARGE, UNAVAILABLE
from onecopy.agents.grants.entries import READ_BYTES, Entries
from onecopy.agents.manifest.grants import EntriesGrant
from tests.agents.grants.refusals import refusal

GRANT = EntriesGrant(names=("docs/*",))


@pytest.fixture
def store():
    with onecopy.start("entries", capacity="64MiB") as store:
        store.save("docs/text", "grüezi")
        store.save("docs/bytes", "grüezi".encode())
        store.save("docs/value", {"a": [1, 2.5, None], "b": "c"})
        store.save("docs/weights", {"w": torch.ones(2, 3), "n": torch.zeros(4, dtype=torch.int8)})
        store.save("secret", "secret")
        yield store


def call(entries: Entries, function: str, *arguments: Any) -> Any:
    return asyncio.run(entries.call(function, list(arguments)))


def refused(entries: Entries, function: str, *arguments: Any) -> tuple[str, str]:
    return asyncio.run(refusal(entries, function, *arguments))


def test_texts_bytes_and_plain_values_are_read(store) -> None:
    entries = Entries(GRANT, store)
    assert call(entries, "read", "docs/text") == "grüezi"
    assert call(entries, "read", "docs/bytes") == "grüezi"
    assert json.loads(call(entries, "read", "docs/value")) == {"a": [1, 2.5, None], "b": "c"}


def test_entries_are_described_without_what_is_in_them(store) -> None:
    entries = Entries(GRANT, store)
    assert json.loads(call(entries, "describe", "docs/weights")) == {
        "kind": "dict",
        "items": {
            "w": {"kind": "tensor", "dtype": "float32", "shape": [2, 3]},
            "n": {"kind": "tensor", "dtype": "int8", "shape": [4]},
        },
    }
    assert json.loads(call(entries, "describe", "docs/bytes")) == {"kind": "bytes", "nbytes": 7}
    assert json.loads(call(entries, "describe", "docs/text")) == {"kind": "text", "characters": 6}
    assert json.loads(call(entries, "describe", "docs/value"))["items"]["a"]["kind"] == "list"


def test_a_module_is_described_by_its_class(store) -> None:
    store.save_module("docs/net", torch.nn.Linear(2, 3))
    found = json.loads(call(Entries(GRANT, store), "describe", "docs/net"))
    assert found == {"kind": "object", "class": "Linear"}


def test_what_is_not_granted_does_not_seem_to_exist(store) -> None:
    entries = Entries(GRANT, store)
    assert call(entries, "names", "") == ["docs/bytes", "docs/text", "docs/value", "docs/weights"]
    assert call(entries, "names", "docs/t") == ["docs/text"]
    assert call(entries, "names", "sec") == []
    texts = set()
    for name in ("secret", "missing", 'a"b'):
        for function in ("read", "describe"):
            code, message = refused(entries, function, name)
            assert code == NOT_GRANTED
            texts.add(message.replace(name, "").replace(r"a\"b", ""))
    assert len(texts) == 1
    assert "[grants.entries]" in texts.pop()


def test_parts_of_other_entries_are_nobodys(store) -> None:
    store.save("__onecopy/part", "hidden")
    entries = Entries(EntriesGrant(names=("*",)), store)
    assert refused(entries, "read", "__onecopy/part")[0] == NOT_GRANTED
    assert not [name for name in call(entries, "names", "__") if "onecopy" in name]


def test_what_was_removed_is_not_found(store) -> None:
    entries = Entries(GRANT, store)
    assert call(entries, "read", "docs/text")
    store.remove("docs/text")
    assert refused(entries, "read", "docs/text")[0] == NOT_FOUND
    assert refused(entries, "describe", "docs/text")[0] == NOT_FOUND


def test_tensors_and_other_bytes_are_no_text(store) -> None:
    entries = Entries(GRANT, store)
    code, message = refused(entries, "read", "docs/weights")
    assert code == INVALID
    assert "describe" in message
    store.save("docs/binary", b"\xff\xfe")
    assert refused(entries, "read", "docs/binary")[0] == INVALID
    assert refused(entries, "read", "docs/\0")[0] in (INVALID, NOT_FOUND)


@pytest.mark.parametrize("value", ["x" * (READ_BYTES + 1), b"x" * (READ_BYTES + 1), [10] * 400_000])
def test_what_is_too_large_is_refused(store, value: Any) -> None:
    store.save("docs/large", value)
    assert refused(Entries(GRANT, store), "read", "docs/large")[0] == TOO_LARGE


def test_the_largest_text_is_read(store) -> None:
    store.save("docs/large", "x" * READ_BYTES)
    assert len(call(Entries(GRANT, store), "read", "docs/large")) == READ_BYTES


def test_a_snapshot_is_read_too(store, tmp_path: Path) -> None:
    store.snapshot(tmp_path / "snapshot")
    entries = Entries(GRANT, onecopy.open(tmp_path / "snapshot"))
    assert call(entries, "read", "docs/text") == "grüezi"
    assert refused(entries, "read", "docs/missing")[0] == NOT_FOUND


def test_a_store_that_has_ended_is_a_refusal(store) -> None:
    client = onecopy.connect("entries")
    entries = Entries(GRANT, client)
    assert call(entries, "read", "docs/text")
    store.close()
    assert refused(entries, "read", "docs/text")[0] == UNAVAILABLE
    client.close()
    assert refused(entries, "names", "")[0] in (UNAVAILABLE, INVALID)
