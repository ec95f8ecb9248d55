"""Entries whose spec is not in their segment: those of an arena, and files of others."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import onecopy
from onecopy.segments import region
from onecopy.store import messages
from onecopy.tensors import spec as specs
from tests.attacks.patience import eventually
from tests.attacks.raw import RawClient, refusal

PAGE = region.PAGE
SIZE = 64 * PAGE


def spec(*blocks: tuple[int, int], pad: int = 0) -> bytes:
    """A list of buffers, and a text that makes the spec as long as one likes."""
    leaves = [
        [0, "buffer", ["B", [nbytes]], [number, 0]] for number, (_, nbytes) in enumerate(blocks)
    ]
    return specs.encode(list(blocks), [1, *leaves, "." * pad])


class Arena:
    """A memfd of 64 pages, each full of the number of its page."""

    def __init__(self) -> None:
        self.fd = region.create("arena")
        region.write(self.fd, [bytes([number]) * PAGE for number in range(64)])
        region.seal(self.fd, mutable=True)

    def save(
        self, name: str, packed: bytes, fds: list[int] | None = None, **changes: object
    ) -> str:
        """Publish an entry in it; return the error's name, or nothing."""
        inline = packed if len(packed) < 300 else b""
        message = messages.Save(
            name=name,
            size=SIZE,
            data_start=0,
            spec_offset=SIZE,
            spec_nbytes=len(packed),
            nbytes=PAGE,
            spec=inline,
            kind=region.ARENA,
            apart=True,
        )
        for field, value in changes.items():
            message = type(message)(
                **({f: getattr(message, f) for f in message.__struct_fields__} | {field: value})
            )
        side = [] if inline else [sealed(packed)]
        with RawClient() as raw:
            reply = raw.ask(message, [self.fd, *side] if fds is None else fds)
        for fd in side:
            os.close(fd)
        return "" if isinstance(reply, messages.Done) else refusal(reply)


def sealed(data: bytes) -> int:
    fd = region.create("spec")
    region.write(fd, [data])
    region.seal(fd)
    return fd


@pytest.fixture
def arena() -> Iterator[Arena]:
    arena = Arena()
    yield arena
    os.close(arena.fd)


@pytest.mark.parametrize("pad", [0, 5000])
def test_entries_of_one_arena_are_loaded_each_by_its_own_spec(
    store: onecopy.Store, client: onecopy.Store, arena: Arena, pad: int
) -> None:
    assert not arena.save("a", spec((PAGE, PAGE), pad=pad))
    assert not arena.save("b", spec((2 * PAGE, 10), (9 * PAGE, 20), pad=pad))
    for _ in range(2):
        assert client.load("a")[0] == b"\1" * PAGE
        assert client.load("b")[:2] == [b"\2" * 10, b"\11" * 20]


def test_what_a_reader_writes_stays_its_own(
    store: onecopy.Store, client: onecopy.Store, arena: Arena
) -> None:
    arena.save("a", spec((PAGE, PAGE)))
    client.load("a")[0][:] = bytes(PAGE)
    assert client.load("a")[0] == b"\1" * PAGE
    assert store.load("a")[0] == b"\1" * PAGE


def test_each_counts_what_it_says_and_all_linger_until_the_arena_is_free(
    store: onecopy.Store, arena: Arena
) -> None:
    arena.save("a", spec((PAGE, PAGE)))
    arena.save("b", spec((2 * PAGE, PAGE)))
    assert store.stats().used == 2 * PAGE
    store.remove("a")
    assert store.stats().used == 2 * PAGE
    assert store.stats().lingering == PAGE
    store.remove("b")
    os.close(arena.fd)
    arena.fd = os.open(os.devnull, os.O_RDONLY)
    eventually(lambda: store.stats().used == 0)


def test_a_daemon_holds_one_descriptor_for_an_arena(store: onecopy.Store, arena: Arena) -> None:
    def held() -> int:
        return len(os.listdir(f"/proc/{store.pid}/fd"))

    arena.save("a", spec((PAGE, PAGE)))
    before = held()
    for number in range(20):
        assert not arena.save(f"b{number}", spec((PAGE, PAGE)))
    eventually(lambda: held() <= before)


def test_a_file_is_an_entry_until_it_is_changed(
    store: onecopy.Store, client: onecopy.Store, tmp_path: Path, arena: Arena
) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(SIZE - 4) + b"tail")
    fd = os.open(path, os.O_RDONLY)
    assert not arena.save("file", spec((SIZE - 4, 4)), [fd], kind=region.FILE)
    os.close(fd)
    for _ in range(2):
        assert client.load("file")[0] == b"tail"
    assert store.stats().used == 0
    with path.open("r+b") as file:
        file.write(b"other")
    os.utime(path, ns=(1, 1))
    with pytest.raises(onecopy.CorruptEntry, match="changed"):
        client.load("file")


class TestRefused:
    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("mutable", True),
            ("kind", 3),
            ("kind", -1),
            ("kind", region.SEALED),
            ("spec_offset", SIZE + 1),
            ("spec_nbytes", -1),
            ("size", SIZE - 1),
        ],
    )
    def test_fields_that_make_no_sense(
        self, store: onecopy.Store, arena: Arena, field: str, value: object
    ) -> None:
        assert arena.save("a", spec((0, PAGE)), **{field: value}) == "InvalidArgument"
        assert store.names() == []

    def test_a_long_spec_that_does_not_come_along(self, store: onecopy.Store, arena: Arena) -> None:
        packed = spec((0, PAGE), pad=5000)
        assert arena.save("a", packed, [arena.fd]) == "InvalidArgument"
        assert arena.save("a", packed, [arena.fd, arena.fd]) == "InvalidArgument"
        short = sealed(packed[:-1])
        assert arena.save("a", packed, [arena.fd, short]) == "InvalidArgument"
        os.close(short)

    def test_a_spec_that_points_outside_the_arena(
        self, store: onecopy.Store, client: onecopy.Store, arena: Arena
    ) -> None:
        assert not arena.save("a", spec((SIZE - PAGE, 2 * PAGE)))
        with pytest.raises(onecopy.CorruptEntry):
            client.load("a")

    def test_an_arena_that_can_shrink(self, store: onecopy.Store, arena: Arena) -> None:
        unsealed = region.create("unsealed", SIZE)
        assert arena.save("a", spec((0, PAGE)), [unsealed]) == "InvalidArgument"
        os.close(unsealed)
