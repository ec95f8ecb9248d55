"""The file in which capabilities keep what outlives a run."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
from pathlib import Path

import pytest

from onecopy import InvalidArgument
from onecopy.agents.calls import BUDGET, UNAVAILABLE, Refused
from onecopy.agents.grants.database import Database

SCHEMA = "CREATE TABLE IF NOT EXISTS t (a INTEGER);"


@pytest.fixture
def database(tmp_path: Path):
    database = Database(tmp_path / "t.sqlite", SCHEMA)
    yield database
    database.close()


def count(sql: sqlite3.Connection) -> int:
    return int(sql.execute("SELECT count(*) FROM t").fetchone()[0])


def insert(sql: sqlite3.Connection) -> None:
    sql.execute("INSERT INTO t VALUES (1)")


def test_what_is_written_is_there_when_the_file_is_opened_again(tmp_path: Path) -> None:
    for expected in (0, 1, 2):
        database = Database(tmp_path / "t.sqlite", SCHEMA)
        assert asyncio.run(database.run(count)) == expected
        asyncio.run(database.run(insert))
        database.close()
        database.close()


def test_it_is_for_this_user_alone(database: Database, tmp_path: Path) -> None:
    asyncio.run(database.run(insert))
    modes = {stat.S_IMODE(each.stat().st_mode) for each in tmp_path.glob("t.sqlite*")}
    assert modes == {0o600}


def test_nothing_is_left_of_what_fails(database: Database) -> None:
    def fails(sql: sqlite3.Connection) -> None:
        insert(sql)
        raise Refused(BUDGET, "no more")

    with pytest.raises(Refused):
        asyncio.run(database.run(fails))
    assert asyncio.run(database.run(count)) == 0


def test_a_file_that_is_no_data_base_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no data base" * 1000)
    with pytest.raises(InvalidArgument, match="text"):
        Database(tmp_path / "text", SCHEMA)
    with pytest.raises(InvalidArgument, match="missing"):
        Database(tmp_path / "missing" / "file", SCHEMA)


def test_a_full_disk_is_a_refusal_and_changes_nothing(database: Database) -> None:
    def fills(sql: sqlite3.Connection) -> None:
        # SQLite has the same error for a disk that is full.
        sql.execute("PRAGMA max_page_count = 1")
        sql.execute("INSERT INTO t SELECT value FROM json_each(?)", (str([*range(5000)]),))

    with pytest.raises(Refused) as caught:
        asyncio.run(database.run(fills))
    assert caught.value.refusal.code == UNAVAILABLE
    assert "full" in caught.value.refusal.message
    assert asyncio.run(database.run(count)) == 0
