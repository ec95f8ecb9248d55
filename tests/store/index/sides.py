"""An index from both sides: a record to write, and the reader of what was written."""

from __future__ import annotations

from onecopy.segments.mapping import map_fd
from onecopy.store.index.reader import IndexReader
from onecopy.store.index.slot import Record
from onecopy.store.index.writer import IndexWriter


def record(writer: IndexWriter, key: bytes, ino: int = 0, spec: bytes = b"") -> Record:
    return Record(writer.hash(key), 1, ino, 2, 0, 3, 4, 5, 6, 7, 8, 0, 0, key, spec)


def reader(writer: IndexWriter) -> IndexReader:
    return IndexReader(map_fd(writer.fd, writer.size, "readonly"), writer.pulse.thread)
