from __future__ import annotations

import pytest
import torch
from torch.distributed.checkpoint.metadata import (
    BytesStorageMetadata,
    ChunkStorageMetadata,
    Metadata,
    MetadataIndex,
    TensorProperties,
    TensorStorageMetadata,
)

from onecopy import CorruptEntry, Store
from onecopy.distributed.metadata import Place, decode, encode


def example() -> tuple[Metadata, dict[MetadataIndex, Place]]:
    chunks = [
        ChunkStorageMetadata(torch.Size([0, 0]), torch.Size([2, 3])),
        ChunkStorageMetadata(torch.Size([2, 0]), torch.Size([1, 3])),
    ]
    stored = {
        "w": TensorStorageMetadata(TensorProperties(torch.bfloat16), torch.Size([3, 3]), chunks),
        "scalar": TensorStorageMetadata(
            TensorProperties(torch.int64, requires_grad=False, memory_format=torch.channels_last),
            torch.Size([]),
            [ChunkStorageMetadata(torch.Size([]), torch.Size([]))],
        ),
        "object": BytesStorageMetadata(),
    }
    places = {
        MetadataIndex("w", [0, 0], 0): Place("part a", 0),
        MetadataIndex("w", [2, 0], 1): Place("part b", 0),
        MetadataIndex("scalar", []): Place("part a", 1),
        MetadataIndex("object"): Place("part b", 1),
    }
    return Metadata(stored, {"w": ("model", "w"), "object": ("list", 0)}), places


def test_metadata_survives_the_store(store: Store) -> None:
    metadata, places = example()
    store.save("m", encode(metadata, places))
    checkpoint = decode(store.load("m"), "m")
    assert checkpoint.metadata.state_dict_metadata == metadata.state_dict_metadata
    assert checkpoint.metadata.planner_data == metadata.planner_data
    assert checkpoint.parts == ["part a", "part b"]
    found = {
        index: Place(checkpoint.parts[place.part], place.item)
        for index, place in checkpoint.metadata.storage_data.items()
    }
    assert found == places


def test_every_encoding_has_an_id_of_its_own() -> None:
    assert encode(*example())["id"] != encode(*example())["id"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("version", 2),
        ("tensors", None),
        ("tensors", {"w": {}}),
        ("tensors", {"w": [1]}),
        ("places", [["w"]]),
        ("places", [[1, 2, 3, 4]]),
    ],
)
def test_what_is_no_metadata_is_refused(key: str, value: object) -> None:
    with pytest.raises(CorruptEntry, match="'m'"):
        decode({**encode(*example()), key: value}, "m")


@pytest.mark.parametrize("name", ["float33", "save", "__name__"])
def test_a_dtype_that_is_none_is_refused(name: str) -> None:
    tree = encode(*example())
    tree["tensors"]["w"]["dtype"] = name
    with pytest.raises(CorruptEntry, match=name):
        decode(tree, "m")


def test_an_entry_that_is_no_dict_is_refused() -> None:
    with pytest.raises(CorruptEntry):
        decode(memoryview(b"x"), "m")
