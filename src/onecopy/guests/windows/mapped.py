"""Sources of tensors that lie in segments already: the guest gets the same pages."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from onecopy.errors import CorruptEntry, WindowRefused
from onecopy.guests.wasm.memory import PAGE, pages
from onecopy.guests.windows import layout
from onecopy.guests.windows.pagemap import page_map
from onecopy.guests.windows.source import Source
from onecopy.guests.windows.tensor_view import view_of
from onecopy.segments import maps, region, trailer

if TYPE_CHECKING:
    from onecopy.guests.windows.source import Access
    from onecopy.guests.windows.tensor_view import TensorView
    from onecopy.segments.maps import Area

OR_COPY: Final = "or say copy=True, and the guest gets a copy"

_MEMFD: Final = "/memfd:"
_ARENA: Final = "/memfd:onecopy-arena:"
_DELETED: Final = " (deleted)"


def mapped(tensor: Any, access: Access) -> Source:
    """Return the source of a tensor in a segment of a store.

    Raises:
        WindowRefused: it lies elsewhere, shares its pages, or may not be written to.
    """
    view = view_of(tensor)
    own = layout.pieces(view.address, view.itemsize, view.shape, view.byte_strides)
    if own is None:
        raise WindowRefused(
            "the tensor's elements overlap, run backwards or lie too scattered; give "
            f"`tensor.contiguous()` saved in a store, {OR_COPY}"
        )
    area = _area(view, access)
    fd = _open(area, access)
    try:
        shift = area.offset - area.start
        _check_pages(fd, area, [(start + shift, end + shift) for start, end in own], access)
        return Source.of(view, fd, view.address + shift, access, tensor)
    except BaseException:
        os.close(fd)
        raise


def _area(view: TensorView, access: Access) -> Area:
    """Return the mapping that a tensor lies in, if its file has the same bytes."""
    area = maps.at(view.address)
    end = view.address + view.nbytes
    if area is None or area.ino == 0 or end > area.end:
        raise WindowRefused(
            "the tensor lies in this process's own memory, where no guest can map it; save it in a "
            f"store and give what load() or ref() returns, make it with guests.buffer(), {OR_COPY}"
        )
    if access == "rw" and not (area.shared and area.writable):
        raise WindowRefused(
            "the tensor is no shared one, so what a guest writes would not be seen in it; save it "
            f'with mutable=True and load it with mode="shared", {OR_COPY}'
        )
    if not area.shared and _was_written(view.address, end):
        raise WindowRefused(
            "the tensor was written to since it was loaded or saved, and only this process has "
            f"that; save it again and give what load() returns, {OR_COPY}"
        )
    return area


def _was_written(start: int, end: int) -> bool:
    scanner = page_map()
    first = start // PAGE * PAGE
    return scanner is None or bool(scanner.private(first, pages(end)))


def _check_pages(fd: int, area: Area, own: list[tuple[int, int]], access: Access) -> None:
    """Raise `WindowRefused` unless a window would show nothing but the tensor."""
    if area.path.startswith(_ARENA):
        # Tensors of others may lie there, and what is left of those that were freed.
        whole = len(own) == 1 and own[0][0] % PAGE == 0 and own[0][1] % PAGE == 0
        if not whole:
            raise WindowRefused(
                "the tensor lies in storage() and does not fill its pages, so a window would show "
                f"what else is there; save it with align={PAGE}, outside of storage(), {OR_COPY}"
            )
        return
    if not layout.Layout(fd).covers(own, writable=access == "rw"):
        raise WindowRefused(
            "the tensor shares pages of memory with other tensors, or with the rest of the one "
            f"that it is a slice of; save it with align={PAGE} and give the whole of it, use rows "
            f"of guests.buffer(), {OR_COPY}"
        )


def _open(area: Area, access: Access) -> int:
    """Open the segment that a mapping shows; the caller closes it."""
    if area.path.startswith(_ARENA) and access == "rw":
        raise WindowRefused(
            "what storage() makes becomes immutable when it is saved; make what guests write to "
            f"with guests.buffer(), or save it with mutable=True, {OR_COPY}"
        )
    fd = _open_segment(area, access)
    if fd is None:
        raise WindowRefused(
            f"the tensor lies in {area.path or 'memory'}, which is no segment of a store that "
            f"this process has open; save it in a store, {OR_COPY}"
        )
    if access == "rw" and not region.is_writable(fd):
        os.close(fd)
        raise WindowRefused(
            "the tensor is immutable; save it with mutable=True to let guests write to it, "
            f"{OR_COPY}"
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
