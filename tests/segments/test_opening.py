from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator

import pytest

from onecopy import native
from onecopy.segments import region
from onecopy.segments.mapping import Mapping, Mode
from onecopy.segments.opening import Opening, mapper
from tests.conftest import open_files

needs_library = pytest.mark.skipif(native.find() is None, reason="the C library was not built")

GENERATION, PULSE, LAST, HITS = range(4)


class Scene:
    """A segment in this process's own /proc directory, and the words that the library reads."""

    def __init__(self) -> None:
        self.fd = region.create("scene")
        region.write(self.fd, [b"x" * 5000])
        region.seal(self.fd)
        self.directory = os.open("/proc/self/fd", os.O_RDONLY | os.O_DIRECTORY)
        self.words = (ctypes.c_uint64 * 4)(8, 77, 0, 0)
        base, status = ctypes.addressof(self.words), os.fstat(self.fd)
        self.opening = Opening(
            generation=base,
            expected=8,
            pulse=base + 8 * PULSE,
            ino=status.st_ino,
            size=5000,
            extent=5000,
            touch=base + 8 * LAST,
            thread=77,
            directory=self.directory,
            flags=os.O_RDONLY | os.O_CLOEXEC,
            number=str(self.fd).encode(),
        )

    def mapper(self, mode: Mode = "private") -> Callable[[], Mapping | None]:
        found = mapper(self.opening, mode)
        assert found is not None
        return found


@pytest.fixture
def scene() -> Iterator[Scene]:
    scene = Scene()
    yield scene
    os.close(scene.directory)
    os.close(scene.fd)


@needs_library
def test_what_is_as_expected_is_mapped_and_touched(scene: Scene) -> None:
    mapping = scene.mapper()()
    assert mapping is not None
    assert bytes(mapping.view()) == b"x" * 5000
    assert scene.words[HITS] == 1
    assert scene.words[LAST] > 0


@needs_library
def test_each_mapping_is_private(scene: Scene) -> None:
    again = scene.mapper()
    first, second = again(), again()
    assert first is not None
    assert second is not None
    first.view()[0] = 0
    assert second.view()[0] == ord("x")


@needs_library
def test_only_the_extent_is_mapped(scene: Scene) -> None:
    scene.opening.extent = 100
    mapping = scene.mapper("readonly")()
    assert mapping is not None
    assert mapping.nbytes == 100


@needs_library
@pytest.mark.parametrize(
    "change",
    [
        lambda scene: scene.words.__setitem__(GENERATION, 10),
        lambda scene: scene.words.__setitem__(PULSE, 78),
        lambda scene: setattr(scene.opening, "ino", 1),
        lambda scene: setattr(scene.opening, "size", 4999),
        lambda scene: setattr(scene.opening, "number", b"999999"),
        lambda scene: setattr(scene.opening, "number", b"../../maps"),
        lambda scene: setattr(scene.opening, "extent", 0),
        lambda scene: setattr(scene.opening, "directory", -1),
    ],
)
def test_what_is_not_as_expected_is_left_alone(
    scene: Scene, change: Callable[[Scene], None]
) -> None:
    before = open_files()
    again = scene.mapper()
    change(scene)
    assert again() is None
    assert scene.words[HITS] == 0
    assert open_files() == before


def test_without_the_library_there_is_no_mapper(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native, "find", lambda: None)
    assert mapper(scene.opening, "private") is None
