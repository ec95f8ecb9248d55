from __future__ import annotations

import pytest

from onecopy import CorruptEntry, Store
from onecopy.store import messages
from onecopy.store.manifest import Manifest, ManifestCodec, parse
from tests.attacks.raw import RawClient, Segment


def found(store: Store, name: str):
    return store._entries.find(name)


@pytest.mark.parametrize("name", ["m", "n" * 170])
def test_a_manifest_is_read_from_the_index(store: Store, name: str) -> None:
    manifest = Manifest("id" * 8, 10**9, 2**32 - 1)
    store.save(name, manifest)
    assert parse(found(store, name)) == manifest


@pytest.mark.parametrize("value", [b"shards", {"shards": 1}, "shards", ["shards"], [0, "shards"]])
def test_nothing_else_is_one(store: Store, value: object) -> None:
    store.save("m", value)
    assert parse(found(store, "m")) is None


@pytest.mark.parametrize("packed", [b"shards", b"\x93\x01\x90\x94\x00\xa6shards\x90\x90"])
def test_what_only_looks_like_one_can_be_removed(store: Store, packed: bytes) -> None:
    with Segment(b"", packed) as segment, RawClient() as raw:
        assert raw.ask(segment.message("m", spec=packed), [segment.fd]) == messages.Done()
    assert parse(found(store, "m")) is None
    with pytest.raises(CorruptEntry):
        store.load("m")
    store.remove("m")


@pytest.mark.parametrize(
    "meta", [[], ["a", 0], ["a", 0, 0], ["a", 0, -1], ["a", 0, 1 << 32], [1, 0, 1], ["a", True, 1]]
)
def test_a_hostile_manifest_is_refused(meta: list) -> None:
    with pytest.raises(CorruptEntry):
        ManifestCodec().decode(meta, [], None)
