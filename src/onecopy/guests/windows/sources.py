"""Sources of windows: where in which segment a tensor lies.

    source_of(store.load("weights"))             a tensor that was loaded, or saved from storage()
    source_of(store.ref("logits"), "rw")         an entry
    source_of(part(store.ref("model"), "w", 0))  a tensor of an entry that is a tree
    source_of(copy_of(heap_tensor))              one copy, when the guest is to have its own

What cannot be mapped is refused, with what to do about it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, cast

from onecopy.errors import CorruptEntry, InvalidArgument, WindowRefused
from onecopy.guests.wasm.memory import PAGE, pages
from onecopy.guests.windows import layout
from onecopy.guests.windows.pagemap import page_map
from onecopy.guests.windows.source import Source
from onecopy.guests.windows.tensor_view import view_of
from onecopy.segments import maps, region, trailer

if TYPE_CHECKING:
    from onecopy.guests.windows.tensor_view import TensorView
    from onecopy.segments.maps import Area
    from onecopy.store.ref import Ref

Access = Literal["r", "rw"]
ACCESSES: Final[tuple[Access, ...]] = ("r", "rw")

_MEMFD: Final = "/memfd:"
_ARENA: Final = "/memfd:onecopy-arena:"
_DELETED: Final = " (deleted)"
_OR_COPY: Final = "or say copy=True, and the guest gets a copy"


class Part(NamedTuple):
    """A tensor of an entry that is a tree; made by `part`."""

    ref: Ref
    keys: tuple[Any, ...]


class Copied(NamedTuple):
    """A value that a guest gets a copy of; made by `copy_of`."""

    value: Any
    access: Access


def part(ref: Ref, *keys: Any) -> Part:
    """Name a tensor within an entry that is a dict, list or tuple: `part(ref, "layers", 0)`."""
    return Part(ref, keys)


def copy_of(value: Any, access: Access = "r") -> Copied:
    """Mark a value that a guest is to get a copy of: one copy, straight into its memory.

    Nobody else sees what is written to the copy, so each guest should be given one of its own.
    """
    return Copied(value, _check_access(access))


def sources_of(windows: Mapping[str, Any], *, copy: bool = False) -> dict[str, Source]:
    """Return the sources of several windows: values, or pairs of a value and its access.

    The caller closes them; if one is refused, none is left open.
    """
    if not isinstance(windows, Mapping):
        raise InvalidArgument(
            f"windows are a dict of names and values, not a {type(windows).__name__}: "
            '{"x": (value, "rw")}'
        )
    found: dict[str, Source] = {}
    try:
        for name, value in windows.items():
            # A pair whose second part is a text is meant as one, whatever the text is.
            pair = type(value) is tuple and len(value) == 2 and isinstance(value[1], str)
            given, access = cast("tuple[Any, Access]", value if pair else (value, "r"))
            found[name] = source_of(given, access, copy=copy)
    except BaseException:
        for each in found.values():
            each.close()
        raise
    return found


def source_of(value: Any, access: Access = "r", *, copy: bool = False) -> Source:
    """Return where a tensor lies, for windows of guests; close it when they are open.

    Args:
        value: a tensor, array or memoryview in a store's segment, a `store.ref(name)`, a
            `part(ref, *keys)`, a `copy_of(value)`, or anything with a method `window_source()`.
        access: `"r"`, or `"rw"` for mutable entries: others see at once what the guest writes.
        copy: whether to copy what cannot be mapped.

    Raises:
        WindowRefused: it cannot be mapped as it is; the text has the remedy.
        EntryNotFound: there is no such entry.
    """
    _check_access(access)
    if isinstance(value, Copied):
        return _copy(_loaded(value.value, "r"), value.access)
    own = getattr(value, "window_source", None)
    if own is not None:
        source: Source = own()
        return source
    tensor = _loaded(value, access)
    try:
        return _mapped(tensor, access)
    except WindowRefused:
        if not copy:
            raise
    return _copy(tensor, access)


def _check_access(access: Access) -> Access:
    if access not in ACCESSES:
        raise InvalidArgument(f'a window\'s access is "r" or "rw", not {access!r}')
    return access


def _loaded(value: Any, access: Access) -> Any:
    """Return the tensor that a reference or a part names."""
    from onecopy.store.ref import Ref

    ref, keys = value if isinstance(value, Part) else (value, ())
    if not isinstance(ref, Ref):
        return value
    found = _load(ref, access)
    for key in keys:
        try:
            found = found[key]
        except (KeyError, IndexError, TypeError):
            raise InvalidArgument(f"the entry {ref.name!r} has no part {keys!r}") from None
    return found


def _load(ref: Ref, access: Access) -> Any:
    if access == "r":
        return ref.load(mode="readonly")
    try:
        return ref.load(mode="shared")
    except InvalidArgument:
        raise WindowRefused(
            f"the entry {ref.name!r} is immutable; save it with mutable=True to let guests write "
            f"to it, {_OR_COPY}"
        ) from None


# ---- mapping ----


def _mapped(tensor: Any, access: Access) -> Source:
    view = view_of(tensor)
    own = layout.pieces(view.address, view.itemsize, view.shape, view.byte_strides)
    if own is None:
        raise WindowRefused(
            "the tensor's elements overlap, run backwards or lie too scattered; give "
            f"`tensor.contiguous()` saved in a store, {_OR_COPY}"
        )
    area = _area(view, access)
    fd = _open(area, access)
    try:
        shift = area.offset - area.start
        _check_pages(fd, area, [(start + shift, end + shift) for start, end in own], access)
        return _source(view, fd, view.address + shift, access, tensor)
    except BaseException:
        os.close(fd)
        raise


def _source(view: TensorView, fd: int, at: int, access: Access, owner: object) -> Source:
    return Source(
        fd=fd,
        offset=at // PAGE * PAGE,
        lead=at % PAGE,
        nbytes=view.nbytes,
        dtype=view.dtype,
        shape=view.shape,
        strides=view.strides,
        writable=access == "rw",
        owner=owner,
    )


def _area(view: TensorView, access: Access) -> Area:
    """Return the mapping that a tensor lies in, if its file has the same bytes."""
    area = maps.at(view.address)
    end = view.address + view.nbytes
    if area is None or area.ino == 0 or end > area.end:
        raise WindowRefused(
            "the tensor lies in this process's own memory, where no guest can map it; save it in a "
            f"store and give what load() or ref() returns, make it with guests.buffer(), {_OR_COPY}"
        )
    if access == "rw" and not (area.shared and area.writable):
        raise WindowRefused(
            "the tensor is no shared one, so what a guest writes would not be seen in it; save it "
            f'with mutable=True and load it with mode="shared", {_OR_COPY}'
        )
    if not area.shared and _was_written(view.address, end):
        raise WindowRefused(
            "the tensor was written to since it was loaded or saved, and only this process has "
            f"that; save it again and give what load() returns, {_OR_COPY}"
        )
    return area


def _was_written(start: int, end: int) -> bool:
    scanner = page_map()
    first = start // PAGE * PAGE
    return scanner is None or bool(scanner.private(first, pages(end)))


def _open(area: Area, access: Access) -> int:
    """Open the segment that a mapping shows; the caller closes it."""
    if area.path.startswith(_ARENA) and access == "rw":
        raise WindowRefused(
            "what storage() makes becomes immutable when it is saved; make what guests write to "
            f"with guests.buffer(), or save it with mutable=True, {_OR_COPY}"
        )
    fd = _open_segment(area, access)
    if fd is None:
        raise WindowRefused(
            f"the tensor lies in {area.path or 'memory'}, which is no segment of a store that "
            f"this process has open; save it in a store, {_OR_COPY}"
        )
    if access == "rw" and not region.is_writable(fd):
        os.close(fd)
        raise WindowRefused(
            "the tensor is immutable; save it with mutable=True to let guests write to it, "
            f"{_OR_COPY}"
        )
    return fd


def _open_segment(area: Area, access: Access) -> int | None:
    from onecopy.store import reopening
    from onecopy.tensors import arena

    if not area.path.startswith(_MEMFD):
        return _open_file(area) if access == "r" else None
    label = area.path[len(_MEMFD) :].removesuffix(_DELETED)
    fd = arena.reopen(area.dev, area.ino)
    if fd is None:
        fd = reopening.reopen(area.dev, area.ino, label, write=access == "rw")
    return fd


def _open_file(area: Area) -> int | None:
    """Open a file if it is of a directory store or a snapshot: others may change."""
    from onecopy.store import reopening

    fd = reopening.reopen(area.dev, area.ino, "")
    if fd is None:
        fd = _open_path(area)
    if fd is None:
        return None
    try:
        trailer.read(fd, os.fstat(fd).st_size)
    except CorruptEntry:
        os.close(fd)
        return None
    return fd


def _open_path(area: Area) -> int | None:
    try:
        fd = os.open(area.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    status = os.fstat(fd)
    if (status.st_dev, status.st_ino) == (area.dev, area.ino):
        return fd
    os.close(fd)
    return None


def _check_pages(fd: int, area: Area, own: list[tuple[int, int]], access: Access) -> None:
    """Raise `WindowRefused` unless a window would show nothing but the tensor."""
    if area.path.startswith(_ARENA):
        # Tensors of others may lie there, and what is left of those that were freed.
        whole = len(own) == 1 and own[0][0] % PAGE == 0 and own[0][1] % PAGE == 0
        if not whole:
            raise WindowRefused(
                "the tensor lies in storage() and does not fill its pages, so a window would show "
                f"what else is there; save it with align={PAGE}, outside of storage(), {_OR_COPY}"
            )
        return
    if not layout.Layout(fd).covers(own, writable=access == "rw"):
        raise WindowRefused(
            "the tensor shares pages of memory with other tensors, or with the rest of the one "
            f"that it is a slice of; save it with align={PAGE} and give the whole of it, use rows "
            f"of guests.buffer(), {_OR_COPY}"
        )


# ---- copying ----


def _copy(value: Any, access: Access) -> Source:
    """Copy a value into a segment of its own, once: its pages are what the guest has."""
    from onecopy.tensors import codec
    from onecopy.tensors.codec import Leaf

    view = view_of(value)
    if min(view.strides, default=0) < 0:
        raise WindowRefused("the array runs backwards; give `numpy.ascontiguousarray(it)`")
    leaf = codec.for_type(type(value)).encode(value)
    if not isinstance(leaf, Leaf):
        raise WindowRefused(f"a window shows one tensor, not a {type(value).__name__}")
    fd = region.create("onecopy-window")
    try:
        contiguous = _fill(fd, leaf.memory[0])
        region.seal(fd, mutable=True)
    except BaseException:
        os.close(fd)
        raise
    strides = _contiguous(view.shape) if contiguous else view.strides
    source = _source(view._replace(strides=strides), fd, 0, access, None)
    source.copied = True
    return source


def _fill(fd: int, memory: Any) -> bool:
    """Write a tensor's elements; return whether they were gathered."""
    from onecopy.segments.mapping import map_to_fill, memory_at

    if memory.compact is None:
        region.write(fd, [memory_at(memory.address, memory.nbytes)])
        return False
    os.ftruncate(fd, memory.compact.nbytes)
    mapping = map_to_fill(fd, memory.compact.nbytes)
    memory.compact.write(mapping.view())
    return True


def _contiguous(shape: tuple[int, ...]) -> tuple[int, ...]:
    strides, inner = [], 1
    for n in reversed(shape):
        strides.append(inner)
        inner *= n
    return tuple(reversed(strides))
