from __future__ import annotations

from collections.abc import Iterator

import pytest

from onecopy.store.index.writer import IndexWriter


@pytest.fixture
def writer() -> Iterator[IndexWriter]:
    writer = IndexWriter(64)
    yield writer
    writer.close()
