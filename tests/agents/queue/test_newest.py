"""Pages of the newest rows have each row once, the newest first, and only what was wanted."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from onecopy.agents.queue.newest import newest


def test_pages_have_each_row_once_and_the_newest_first() -> None:
    with closing(sqlite3.connect(":memory:")) as db:
        db.execute("CREATE TABLE things (n INTEGER PRIMARY KEY, id TEXT, colour TEXT)")
        rows = [(n, f"t{n}", "red" if n % 3 else "blue") for n in range(10)]
        db.executemany("INSERT INTO things VALUES (?, ?, ?)", rows)
        found: list[str] = []
        while page := db.execute(
            *newest("id", "things", "n", {"colour": "red"}, found[-1] if found else None, 4)
        ).fetchall():
            found += [each for (each,) in page]
        assert found == ["t8", "t7", "t5", "t4", "t2", "t1"]


def test_nothing_wanted_is_everything() -> None:
    statement, values = newest("id", "things", "n", {"colour": None}, None, 5)
    assert statement == "SELECT id FROM things ORDER BY n DESC LIMIT ?"
    assert values == [5]
