"""Which pages are private: by the kernel's scan, and page by page where there is none."""

from __future__ import annotations

import ctypes
import mmap
import os
import threading
from collections.abc import Iterator

import pytest

from onecopy.guests.wasm.memory import PAGE
from onecopy.guests.windows import pagemap
from onecopy.guests.windows.pagemap import PageMap, page_map
from onecopy.segments import region

PAGES = 40


@pytest.fixture
def mapped() -> Iterator[tuple[mmap.mmap, int]]:
    """A private mapping of a file, all of it read, and where it starts."""
    fd = region.create("pages", PAGES * PAGE)
    region.write(fd, [b"x" * (PAGES * PAGE)])
    mapping = mmap.mmap(fd, PAGES * PAGE, flags=mmap.MAP_PRIVATE)
    os.close(fd)
    assert mapping[::PAGE] == b"x" * PAGES
    held = ctypes.c_char.from_buffer(mapping)
    yield mapping, ctypes.addressof(held)
    del held
    mapping.close()


@pytest.fixture(params=["scan", "read"])
def pages(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[PageMap]:
    made = PageMap()
    if request.param == "read":  # as a kernel before 6.7 answers
        monkeypatch.setattr(made, "_ask", lambda start, _: (None, start))
    yield made
    made.close()


def written(pages: PageMap, start: int) -> set[int]:
    """The numbers of the pages that are found."""
    found = pages.private(start, start + PAGES * PAGE)
    return {
        at for first, end in found for at in range((first - start) // PAGE, (end - start) // PAGE)
    }


def test_what_was_only_read_is_the_file_s(mapped: tuple[mmap.mmap, int], pages: PageMap) -> None:
    assert written(pages, mapped[1]) == set()


def test_what_was_written_is_found(mapped: tuple[mmap.mmap, int], pages: PageMap) -> None:
    mapping, start = mapped
    for page in (0, 3, 4, PAGES - 1):
        mapping[page * PAGE + 7] = 1
    assert written(pages, start) == {0, 3, 4, PAGES - 1}


def test_more_ranges_than_one_scan_returns_are_found(
    mapped: tuple[mmap.mmap, int], pages: PageMap, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pagemap, "_RANGES", 4)
    pages._question.scan.vec_len = 4
    mapping, start = mapped
    for page in range(0, PAGES, 2):
        mapping[page * PAGE] = 1
    assert written(pages, start) == set(range(0, PAGES, 2))


def test_two_threads_do_not_get_each_others_answers(
    mapped: tuple[mmap.mmap, int], pages: PageMap, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker's steps run in one thread, and what opens sequences in another: see Opener."""
    mapping, start = mapped
    last = start + (PAGES - 1) * PAGE
    mapping[0] = mapping[last - start] = 1
    asked, ask = [], pages._ask

    def ask_and_be_interrupted(first: int, end: int) -> tuple[int | None, int]:
        answer = ask(first, end)
        if not asked:
            asked.append(first)
            other = threading.Thread(target=pages.private, args=(last, last + PAGE))
            other.start()
            other.join()
        return answer

    monkeypatch.setattr(pages, "_ask", ask_and_be_interrupted)
    assert written(pages, start) == {0, PAGES - 1}
    assert asked == [start]


def test_a_process_has_one() -> None:
    assert page_map() is page_map()
