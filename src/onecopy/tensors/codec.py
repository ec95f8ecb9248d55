"""What a codec is, and where codecs are found.

A codec stores one kind of leaf: it says which memory holds its bytes, and keeps what else
is needed to rebuild it in a few plain values (the *meta*). Nothing is ever pickled.

Packages offer codecs as entry points of the group `onecopy.codecs`, named as the codec;
programs call `register`. docs/codecs.md walks through one.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from onecopy.errors import CorruptEntry, InvalidArgument, PackageMissing
from onecopy.forks import no_fork

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onecopy.segments.mapping import Mapping, Mode

# None, bool, int, float, str, and lists of them: what msgpack carries and JSON knows.
Meta = Any


class Compact(NamedTuple):
    """How to store only what a view sees, when it skips much of its memory."""

    meta: Meta
    """The leaf's meta, if stored so."""
    nbytes: int
    write: Callable[[memoryview], None]
    """Writes the elements, contiguously, to a buffer of `nbytes`."""


class Memory(NamedTuple):
    """Bytes of a leaf in this process's memory, from the first one used to the last."""

    address: int
    nbytes: int
    """0 for an empty tensor, which gets no place: its shape says so to `decode`."""
    owner: object
    """Whatever keeps the bytes alive until they are written."""
    itemsize: int = 1
    """The alignment, in bytes, that a view of this memory needs."""
    dtype: str = "U8"
    """The safetensors name of the element type, for readers that know nothing else."""
    shape: tuple[int, ...] | None = None
    """The shape, if the bytes (the compact ones, if given) are one contiguous tensor of it."""
    compact: Compact | None = None
    """Used if no other leaf shares the memory. Only for a leaf with a single memory."""


class Leaf(NamedTuple):
    """An encoded leaf: what to remember, and the memory that holds its bytes."""

    meta: Meta
    memory: Sequence[Memory] = ()


class Branch(NamedTuple):
    """An encoded value that is made of other values, each with a codec of its own."""

    meta: Meta
    parts: Sequence[tuple[str, Any]]
    """Names, which lead on the path in the tree, and values."""


class Segment:
    """A mapped segment, as a codec sees it: blocks of bytes. Leaves that share memory share one.

    A leaf's *places* are a flat list with the number of a block, and the offset of the leaf's
    first byte in it, for each piece of its memory.
    """

    __slots__ = ("bases", "blocks", "mapping", "mode", "start")

    def __init__(
        self, mapping: Mapping, start: int, blocks: list[tuple[int, int]], mode: Mode
    ) -> None:
        self.mapping = mapping
        self.start = start
        """Where in the mapping the data begins."""
        self.blocks = blocks
        """Offset from there, and number of bytes, of each block."""
        self.mode = mode
        self.bases: dict[int, Any] = {}
        """For codecs: what all leaves over a block share, such as a storage."""

    def view(self, block: int, offset: int, nbytes: int | None = None) -> memoryview:
        """Return bytes of a block, to its end if no number is given; read-only if loaded so."""
        start, size = self.blocks[block]
        length = size - offset if nbytes is None else nbytes
        if block < 0 or offset < 0 or length < 0 or offset + length > size:
            raise CorruptEntry(f"{length} bytes at {offset} exceed a block of {size}")
        view = self.mapping.view(self.start + start + offset, length)
        return view.toreadonly() if self.mode == "readonly" else view


class Codec(Protocol):
    """Stores one kind of leaf. Instances are shared by threads and hold no state."""

    name: str
    """What the spec calls it: keep it for ever, or old entries cannot be read."""
    types: tuple[str, ...]
    """Qualified names of the classes it stores, such as `"torch.Tensor"`; subclasses of
    them reach it too, and it refuses those it cannot rebuild."""

    def encode(self, value: Any) -> Leaf | Branch:
        """Describe `value`; raise `UnsupportedValue` for what cannot be stored.

        A codec that returns branches has a method `assemble(meta, parts)` for the way back.
        """
        ...

    def decode(self, meta: Meta, places: Sequence[int], segment: Segment) -> Any:
        """Rebuild a value over its places in a segment, without copying.

        Both `meta` and `places` may be hostile: check them, or use what checks them.
        """
        ...


# Our own codecs, so that they work from a checkout and need no search of the metadata.
_BUILT_IN: Final = {
    "torch": "onecopy.tensors.torch_codec",
    "numpy": "onecopy.tensors.numpy_codec",
    "buffer": "onecopy.tensors.buffer_codec",
    "dlpack": "onecopy.tensors.dlpack_codec",
    "module": "onecopy.models.codec",
}
_BUILT_IN_TYPES: Final = {
    "torch.Tensor": "torch",
    "torch.nn.parameter.Parameter": "torch",
    "onecopy.tensors.torch_codec.Padded": "torch",
    "torch.nn.modules.module.Module": "module",
    "numpy.ndarray": "numpy",
    "numpy.generic": "numpy",
    **dict.fromkeys(("bytes", "bytearray", "memoryview", "array.array", "mmap.mmap"), "buffer"),
}

_by_name: dict[str, Codec] = {}
_registered: dict[str, Codec] = {}
_by_type: dict[type, Codec] = {}


def register(codec: Codec) -> None:
    """Make `codec` known to this process; it replaces one of the same name."""
    if not codec.name or not codec.types:
        raise InvalidArgument("a codec needs a name and the qualified names of its types")
    _by_name[codec.name] = _registered[codec.name] = codec
    _by_type.clear()


def find(name: str) -> Codec:
    """Return the codec of that name, importing it if need be."""
    codec = _by_name.get(name)
    if codec is not None:
        return codec
    if name in _BUILT_IN:
        _by_name[name] = _import_built_in(name)
    else:
        _load_entry_points()
    if name not in _by_name:
        raise InvalidArgument(
            f"this entry needs the codec {name!r}; install the package that offers it, "
            "or call onecopy.register_codec"
        )
    return _by_name[name]


def prepare() -> None:
    """Import what loads are going to need, in a process that has torch.

    Whoever connects can wait for it; whoever loads for the first time should not.
    """
    if sys.modules.get("torch"):
        for name in ("torch", "module"):
            find(name)


def _import_built_in(name: str) -> Codec:
    try:
        # A child that was forked in the midst of an import would wait for its end for ever.
        with no_fork:
            codec: Codec = importlib.import_module(_BUILT_IN[name]).codec
    except ImportError as error:
        raise PackageMissing(
            f"this value needs {error.name}, which is not installed here; "
            f"run `pip install 'onecopy[{error.name}]'`"
        ) from error
    return codec


def for_type(kind: type) -> Codec:
    """Return the codec that stores instances of `kind`."""
    codec = _by_type.get(kind)
    if codec is None:
        codec = _by_type[kind] = _search(kind)
    return codec


def _search(kind: type) -> Codec:
    codec = _claimant([kind])
    if codec is None:
        # A codec for this very class goes before ours for a base of it.
        _load_entry_points()
        codec = _claimant(kind.__mro__)
    # The buffer codec comes last: only trying tells whether an object exports a buffer.
    return codec or find("dlpack" if hasattr(kind, "__dlpack__") else "buffer")


def _qualified(kind: type) -> str:
    module = kind.__module__
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"


def _claimant(bases: Sequence[type]) -> Codec | None:
    """Return the codec that claims the first of `bases` that is claimed; programs go first."""
    for base in bases:
        name = _qualified(base)
        for codec in reversed(_registered.values()):
            if name in codec.types:
                return codec
        if name in _BUILT_IN_TYPES:
            return find(_BUILT_IN_TYPES[name])
    return None


def _load_entry_points() -> None:
    from importlib.metadata import entry_points

    for point in entry_points(group="onecopy.codecs"):
        if point.name not in _by_name:
            register(point.load())
