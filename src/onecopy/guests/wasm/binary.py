"""A small change to Wasm before it is compiled: mutable globals become exports.

A guest's state is its memory and its mutable globals (C keeps its stack pointer in one), but the
host can only read and set globals that are exported. So each gets a name under which nobody looks
for it. The format: https://webassembly.github.io/spec/core/binary/modules.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from onecopy.errors import InvalidModule

if TYPE_CHECKING:
    from collections.abc import Iterator

GLOBAL_PREFIX: Final = "onecopy.global."
MAX_GLOBALS: Final = 256

_HEADER_NBYTES: Final = 8
_IMPORTS, _GLOBALS, _EXPORTS = 2, 6, 7
_GLOBAL_KIND: Final = 3
_NUMBERS: Final = (0x7F, 0x7E, 0x7D, 0x7C)

# Operands of the instructions that an initial value may consist of.
_END: Final = 0x0B
_LEB_OPERAND: Final = frozenset((0x41, 0x42, 0x23, 0xD0, 0xD2))
_NO_OPERAND: Final = frozenset((0x6A, 0x6B, 0x6C, 0x7C, 0x7D, 0x7E))
_FLOATS: Final = {0x43: 4, 0x44: 8}
_VECTOR: Final = 0xFD


def export_globals(wasm: bytes) -> bytes:
    """Return the module with each mutable global exported as `GLOBAL_PREFIX` and its number.

    Raises:
        InvalidModule: the module is cut short or garbled, or its globals cannot be saved.
    """
    try:
        sections = list(_sections(wasm))
        content = dict(sections)
        globals_ = content.get(_GLOBALS, b"\0")
        _check_imports(content.get(_IMPORTS, b"\0"))
        _check_exports(content.get(_EXPORTS, b"\0"))
        mutable = list(_mutable(globals_))
    except IndexError:
        raise InvalidModule("the module is cut short; build or copy it again") from None
    if not mutable:
        return wasm
    if len(mutable) > MAX_GLOBALS:
        raise InvalidModule(
            f"the module has {len(mutable)} mutable globals, and a guest at most {MAX_GLOBALS}; "
            "keep state in memory"
        )
    return wasm[:_HEADER_NBYTES] + b"".join(_with_exports(sections, mutable))


def _sections(wasm: bytes) -> Iterator[tuple[int, bytes]]:
    at = _HEADER_NBYTES
    while at < len(wasm):
        number = wasm[at]
        length, at = _leb(wasm, at + 1)
        if at + length > len(wasm):
            raise IndexError
        yield number, wasm[at : at + length]
        at += length


def _with_exports(sections: list[tuple[int, bytes]], mutable: list[int]) -> Iterator[bytes]:
    numbers = [number for number, _ in sections]
    if _EXPORTS not in numbers:
        # Sections come in order; the globals are there, and exports come right after them.
        place = numbers.index(_GLOBALS) + 1
        sections = [*sections[:place], (_EXPORTS, b"\0"), *sections[place:]]
    for number, body in sections:
        if number == _EXPORTS:
            count, at = _leb(body, 0)
            added = b"".join(map(_entry, mutable))
            body = _encode(count + len(mutable)) + body[at:] + added
        yield bytes([number]) + _encode(len(body)) + body


def _entry(index: int) -> bytes:
    name = f"{GLOBAL_PREFIX}{index}".encode()
    return _encode(len(name)) + name + bytes([_GLOBAL_KIND]) + _encode(index)


def _check_imports(body: bytes) -> None:
    # Imported globals would have the first numbers; guests are given functions only.
    count, at = _leb(body, 0)
    for _ in range(count):
        for _name in range(2):
            length, at = _leb(body, at)
            at += length
        if body[at]:
            raise InvalidModule(
                "the module imports a global, table or memory: guests get functions"
            )
        _, at = _leb(body, at + 1)


def _check_exports(body: bytes) -> None:
    count, at = _leb(body, 0)
    for _ in range(count):
        length, at = _leb(body, at)
        if body[at : at + length].startswith(GLOBAL_PREFIX.encode()):
            raise InvalidModule(
                f"the module has exports named {GLOBAL_PREFIX}…, as the host names what it adds; "
                "name them otherwise"
            )
        _, at = _leb(body, at + length + 1)
        if at > len(body):
            raise IndexError


def _mutable(body: bytes) -> Iterator[int]:
    count, at = _leb(body, 0)
    for index in range(count):
        kind, mutable = body[at], body[at + 1]
        if kind not in _NUMBERS and not _is_constant(body, at):
            raise InvalidModule(
                f"global {index} is mutable and holds no plain number, so it cannot be saved; "
                "keep vectors and references in memory or tables"
            )
        if kind in _NUMBERS and mutable:
            yield index
        at = _after_value(body, _after_type(body, at) + 1)


def _is_constant(body: bytes, at: int) -> bool:
    return not body[_after_type(body, at)]


def _after_type(body: bytes, at: int) -> int:
    # 0x63 and 0x64 are references whose kind follows.
    return _leb(body, at + 1)[1] if body[at] in (0x63, 0x64) else at + 1


def _after_value(body: bytes, at: int) -> int:
    while (code := body[at]) != _END:
        at += 1
        if code in _LEB_OPERAND:
            _, at = _leb(body, at)
        elif code in _FLOATS:
            at += _FLOATS[code]
        elif code == _VECTOR:
            at = _leb(body, at)[1] + 16
        elif code not in _NO_OPERAND:
            raise InvalidModule(
                f"a global starts with instruction {code:#x}, which is not constant"
            )
    return at + 1


def _leb(data: bytes, at: int) -> tuple[int, int]:
    """Return an unsigned number, and where it ends; signed ones are only skipped."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise InvalidModule("the module has a number of more than 64 bits")


def _encode(value: int) -> bytes:
    out = bytearray()
    while True:
        byte, value = value & 0x7F, value >> 7
        out.append(byte | 0x80 if value else byte)
        if not value:
            return bytes(out)
