"""How many linear memories a component has, and what each may have for all to keep one limit.

wasmtime bounds each memory of a store, and how many there are, but not their sum; and its Python
API shows no memory of a component. So its binary is read: a memory that cannot grow counts as what
it is (JavaScript's toolchain has one that stays empty), and the others have equal shares of what is
left; where there is one, that is all. Memories do not leave the component that has them. The
format: https://github.com/WebAssembly/component-model/blob/main/design/mvp/Binary.md
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

MOST: Final = 4
_PAGE: Final = 1 << 16
_HEAD_NBYTES: Final = 8
_CORE_MODULE, _CORE_INSTANCE, _COMPONENT, _INSTANCE = 1, 2, 4, 5
_ALIAS, _IMPORT, _EXPORT = 6, 10, 11
_MEMORY, _CODE = 5, 10
_GROW: Final = 0x40
"""The opcode of `memory.grow`. Other instructions have this byte too: it proves nothing, and only
where there is none, nothing grows."""
_CORE, _CORE_SORT_MODULE, _TYPE, _SORT_COMPONENT = 0, 0x11, 3, 4
_FUNCTION, _SORT_INSTANCE = 1, 5


class Memory(NamedTuple):
    """What a module says of a memory, in bytes."""

    least: int
    most: int | None


class Share(NamedTuple):
    """What a store is limited to."""

    memories: int
    nbytes: int
    """Of each of them."""


def share(wasm: bytes, limit: int) -> Share:
    """Return what keeps all memories together of a valid component below a limit, in bytes.

    A limit that is too small for it is not found here: instances cannot be made then.
    """
    try:
        found = _of_component(memoryview(wasm))
    except (_Unknown, IndexError, RecursionError):
        return Share(MOST, limit // MOST)
    fixed = [each.most for each in found if each.most is not None]
    free = len(found) - len(fixed)
    return Share(min(len(found), MOST), max(limit - sum(fixed), 0) // free if free else limit)


class _Unknown(Exception):
    """What is instantiated, and how often, cannot be read: it is passed from elsewhere."""


class _Reader:
    """Reads a part of a binary from its start to its end."""

    def __init__(self, data: memoryview, at: int = 0) -> None:
        self._data = data
        self._at = at

    def number(self) -> int:
        """Read a LEB128 number."""
        value = shift = 0
        while True:
            byte = self._data[self._at]
            self._at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def bytes(self) -> memoryview:
        """Read bytes behind their number."""
        size = self.number()
        self._at += size
        return self._data[self._at - size : self._at]

    def sections(self) -> Iterator[tuple[int, memoryview]]:
        """Read what is left as sections."""
        while self._at < len(self._data):
            yield self.number(), self.bytes()

    def sort(self, core: bool = False) -> None:
        """Read what kind of thing something is, and see that it is no module or component."""
        kind = self.number()
        if not core and kind == _CORE:
            kind, core = self.number(), True
        if kind == (_CORE_SORT_MODULE if core else _SORT_COMPONENT):
            raise _Unknown

    def name(self) -> None:
        """Read the name of an import or an export."""
        if self.number() > 1:
            raise _Unknown
        self.bytes()

    def description(self) -> None:
        """Read what an import or an export is, and see that it is no module or component."""
        kind = self.number()
        if kind == _TYPE:
            if self.number() == 0:
                self.number()
        elif kind in (_FUNCTION, _SORT_INSTANCE):
            self.number()
        else:
            raise _Unknown


def _of_component(component: memoryview) -> list[Memory]:
    """Return the memories of an instance of a component, those of nested ones included."""
    modules: list[list[Memory]] = []
    nested: list[list[Memory]] = []
    own: list[Memory] = []
    inner: list[Memory] = []
    grows = False
    for number, body in _Reader(component, _HEAD_NBYTES).sections():
        if number == _CORE_MODULE:
            modules.append(list(_of_module(body)))
            grows = grows or _may_grow(body)
        elif number == _COMPONENT:
            nested.append(_of_component(body))
        elif number == _CORE_INSTANCE:
            own += _instantiated(_Reader(body), modules, core=True)
        elif number == _INSTANCE:
            inner += _instantiated(_Reader(body), nested, core=False)
        elif number in _CHECKED:
            reader = _Reader(body)
            for _ in range(reader.number()):
                _CHECKED[number](reader)
    return [each if grows else each._replace(most=each.least) for each in own] + inner


def _of_module(module: memoryview) -> Iterator[Memory]:
    """Return the memories that a core module has of its own."""
    for number, body in _Reader(module, _HEAD_NBYTES).sections():
        if number == _MEMORY:
            reader = _Reader(body)
            for _ in range(reader.number()):
                has_most, least = reader.number() & 1, reader.number()
                yield Memory(least * _PAGE, reader.number() * _PAGE if has_most else None)


def _may_grow(module: memoryview) -> bool:
    sections = _Reader(module, _HEAD_NBYTES).sections()
    return any(_GROW in bytes(body) for number, body in sections if number == _CODE)


def _instantiated(reader: _Reader, known: list[list[Memory]], *, core: bool) -> Iterator[Memory]:
    """Return the memories of what a section of instances makes."""
    for _ in range(reader.number()):
        if reader.number() == 0:
            yield from known[reader.number()]
            for _ in range(reader.number()):
                reader.bytes()
                reader.sort(core)
                reader.number()
        else:
            _read_exports(reader, core)


def _read_exports(reader: _Reader, core: bool) -> None:
    """Read an instance that is made of what is there already."""
    for _ in range(reader.number()):
        if core:
            reader.bytes()
        else:
            reader.name()
        reader.sort(core)
        reader.number()


def _check_alias(reader: _Reader) -> None:
    reader.sort()
    if reader.number() == _OUTER:
        reader.number()
        reader.number()
    else:
        reader.number()
        reader.bytes()


def _check_import(reader: _Reader) -> None:
    reader.name()
    reader.description()


def _check_export(reader: _Reader) -> None:
    reader.name()
    reader.sort()
    reader.number()
    if reader.number():
        reader.description()


_OUTER: Final = 2
_CHECKED: Final = {_ALIAS: _check_alias, _IMPORT: _check_import, _EXPORT: _check_export}
"""Sections by which a module or a component might come from elsewhere."""
