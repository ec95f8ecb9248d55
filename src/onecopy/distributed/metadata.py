"""DCP's `Metadata` as plain values, so that nothing has to be unpickled to read a checkpoint.

version     1
id          drawn at random by each save
parts       names of the entries with the data
tensors     name in the state dict -> {dtype, layout, requires_grad, memory_format,
            pin_memory, size, chunks: [[offsets, sizes], …]}, or None for other objects
places      [[name, offsets or None, number of the part, number in the part], …]
planner     what the planner wants back: for DCP's own, name -> path in the state dict
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import torch
from torch.distributed.checkpoint import metadata as dcp

from onecopy.errors import CorruptEntry

if TYPE_CHECKING:
    from collections.abc import Mapping

VERSION: Final = 1


class Place(NamedTuple):
    """Where the bytes of a chunk are: the name or number of a part, and the number in it."""

    part: Any
    item: int


class Checkpoint(NamedTuple):
    """What the metadata entry of a checkpoint says."""

    id: str
    parts: list[str]
    metadata: Any
    """DCP's `Metadata`; its `storage_data` has the place of each `MetadataIndex`."""


def encode(metadata: Any, places: Mapping[Any, Place]) -> dict[str, Any]:
    """Return plain values for `metadata`, given the place (with the part's name) of each chunk.

    What a planner of your own leaves in `planner_data` must consist of plain values, too.
    """
    parts = list(dict.fromkeys(place.part for place in places.values()))
    numbers = {name: number for number, name in enumerate(parts)}
    return {
        "version": VERSION,
        "id": secrets.token_hex(8),
        "parts": parts,
        "tensors": {name: _plain(each) for name, each in metadata.state_dict_metadata.items()},
        "places": [
            [index.fqn, _listed(index.offset), numbers[place.part], place.item]
            for index, place in places.items()
        ],
        "planner": metadata.planner_data,
    }


def _listed(offsets: Any) -> list[int] | None:
    return None if offsets is None else list(offsets)


def _plain(stored: Any) -> dict[str, Any] | None:
    if isinstance(stored, dcp.BytesStorageMetadata):
        return None
    properties = stored.properties
    return {
        "dtype": _name(properties.dtype),
        "layout": _name(properties.layout),
        "requires_grad": properties.requires_grad,
        "memory_format": _name(properties.memory_format),
        "pin_memory": properties.pin_memory,
        "size": list(stored.size),
        "chunks": [[list(each.offsets), list(each.sizes)] for each in stored.chunks],
    }


def _name(constant: Any) -> str:
    return str(constant).removeprefix("torch.")


def decode(tree: Any, name: str) -> Checkpoint:
    """Rebuild what `encode` was given; `name` is the entry's, for errors.

    Raises:
        CorruptEntry: `tree` is not what `encode` returns, or of another version.
    """
    try:
        if tree["version"] != VERSION:
            raise CorruptEntry(
                f"{name!r} has version {tree['version']}, and this onecopy reads {VERSION}; "
                "upgrade the older side"
            )
        tensors = {key: _stored(each) for key, each in tree["tensors"].items()}
        places = {
            dcp.MetadataIndex(key, offset): Place(part, item)
            for key, offset, part, item in tree["places"]
        }
        metadata = dcp.Metadata(tensors, planner_data=tree["planner"], storage_data=places)
        return Checkpoint(tree["id"], tree["parts"], metadata)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CorruptEntry(f"{name!r} is not the metadata of a checkpoint: {error!r}") from error


def _stored(plain: dict[str, Any] | None) -> Any:
    if plain is None:
        return dcp.BytesStorageMetadata()
    properties = dcp.TensorProperties(
        dtype=_constant(plain["dtype"], torch.dtype),
        layout=_constant(plain["layout"], torch.layout),
        requires_grad=plain["requires_grad"],
        memory_format=_constant(plain["memory_format"], torch.memory_format),
        pin_memory=plain["pin_memory"],
    )
    chunks = [
        dcp.ChunkStorageMetadata(torch.Size(offsets), torch.Size(sizes))
        for offsets, sizes in plain["chunks"]
    ]
    return dcp.TensorStorageMetadata(properties, torch.Size(plain["size"]), chunks)


def _constant(name: str, kind: type) -> Any:
    constant = getattr(torch, name, None)
    if not isinstance(constant, kind):
        raise ValueError(f"torch {torch.__version__} has no {kind.__name__} {name!r}")
    return constant
