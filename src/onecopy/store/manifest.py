"""What is stored under the name of a value that was saved in shards: a manifest of its parts.

It is an entry of its own kind, so that a load recognises it at once, and clients that do not know
it say that they lack the codec. docs/design/shards.md has the rules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from onecopy.errors import CorruptEntry
from onecopy.tensors import codec as codecs
from onecopy.tensors import spec as specs
from onecopy.tensors import tree
from onecopy.tensors.codec import Leaf

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onecopy.store.index.slot import Found
    from onecopy.tensors.codec import Meta, Segment


class Manifest(NamedTuple):
    """A complete set of parts."""

    id: str
    """Drawn at random: no two sets have the same, whatever their parts are called."""
    generation: int
    """One more than that of the set it replaced, or 0."""
    world_size: int


class ManifestCodec:
    """Stores a manifest in the spec alone, which for such an entry always fits into the index."""

    name = "shards"
    types: tuple[str, ...] = (f"{__name__}.Manifest",)

    def encode(self, value: Manifest) -> Leaf:
        """Describe a manifest."""
        return Leaf(list(value))

    def decode(self, meta: Meta, places: Sequence[int], segment: Segment) -> Manifest:
        """Rebuild a manifest."""
        del places, segment
        return _checked(meta)


def _checked(meta: Any) -> Manifest:
    kinds = [type(each) for each in meta] if type(meta) is list else []
    if kinds != [str, int, int] or not 0 < meta[2] < 1 << 32:
        raise CorruptEntry(f"no manifest of shards looks like {meta!r}")
    return Manifest(*meta)


def parse(found: Found) -> Manifest | None:
    """Return the manifest in a slot of the index, or None if it holds another kind of entry.

    What only looks like one is none: it can be removed, and its load says what is wrong.
    """
    if b"shards" not in found.spec:
        return None
    try:
        node = specs.decode(found.spec, found.spec_offset - found.data_start).tree
        if type(node) is list and len(node) > 2 and node[:2] == [tree.LEAF, ManifestCodec.name]:
            return _checked(node[2])
    except CorruptEntry:
        pass
    return None


codecs.register(ManifestCodec())
