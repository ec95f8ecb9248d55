from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from onecopy.errors import ProtocolError
from onecopy.store.index.reader import Busy
from onecopy.store.index.slot import Record, spec_room
from onecopy.store.index.writer import IndexWriter
from tests.store.index.sides import reader, record


def test_a_record_is_read_as_it_was_written(writer: IndexWriter) -> None:
    key, spec = b"k" * 255, b"s" * spec_room(b"k" * 255)
    big = Record(writer.hash(key), 2**63, 2**64 - 1, 7, 1, 9, 8, 7, 6, 5, 4, 3, 2, key, spec)
    writer.insert(3, big)
    found = reader(writer).find(key)
    assert found is not None
    assert (found.slot, found.fd, found.ino, found.size) == (3, "7", 2**64 - 1, 9)
    assert (found.data_start, found.spec_offset, found.spec_nbytes) == (8, 7, 6)
    assert (found.mutable, found.spec) == (True, spec)
    assert (found.modified, found.spec_fd) == (3, "2")
    assert writer.record(3) == big


def test_a_name_that_does_not_exist_is_not_found(writer: IndexWriter) -> None:
    writer.insert(0, record(writer, b"a"))
    assert reader(writer).find(b"b") is None


def test_a_half_written_slot_is_busy_not_torn(writer: IndexWriter) -> None:
    writer.insert(0, record(writer, b"a"))
    view = reader(writer)
    word = view._first_word
    writer._words[word] |= 1
    with pytest.raises(Busy):
        view.find(b"a")
    writer._words[word] += 1


def test_the_index_of_a_dead_daemon_is_not_current(writer: IndexWriter) -> None:
    # A thread stands for the daemon: the kernel marks what it held when it ends.
    others: list[IndexWriter] = []
    thread = threading.Thread(target=lambda: others.append(IndexWriter(64)))
    thread.start()
    thread.join()
    while Path(f"/proc/self/task/{thread.native_id}").exists():
        pass  # Python lets go of a thread a little before the kernel does.
    assert not reader(others[0]).current
    assert reader(writer).current
    os.close(others[0].fd)


@pytest.mark.parametrize("damage", ["magic", "version", "buckets", "slots"])
def test_an_index_of_another_format_is_refused(writer: IndexWriter, damage: str) -> None:
    words = {"magic": 0, "version": 1, "slots": 3, "buckets": 4}
    writer._bytes[8 * words[damage]] ^= 0x41
    with pytest.raises(ProtocolError):
        reader(writer)
