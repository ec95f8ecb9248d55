"""Disks that are full or broken, files that are not ours, and two servers at once."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from onecopy.agents.queue import file
from onecopy.agents.queue.queue import Queue
from onecopy.agents.queue.reader import Reader
from onecopy.agents.queue.writer import Writer
from onecopy.errors import QueueUnavailable
from tests.agents.queue.opening import submission, use
from tests.processes import output_of, script

LARGE = "x" * 200_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "queue.db"


async def nothing(_: Queue) -> None:
    pass


async def pragma(queue: Queue, text: str) -> None:
    await queue.do(lambda db, turns, now: db.execute(f"PRAGMA {text}").fetchall())


class TestFullDisk:
    def test_what_does_not_fit_is_refused_and_what_fits_goes_on(self, path):
        async def act(queue: Queue) -> None:
            running = await queue.put(submission(), "d1")
            await queue.take()
            await pragma(queue, "max_page_count = 40")
            with pytest.raises(QueueUnavailable, match="no room for it; free some"):
                await queue.put(submission("large", payload=LARGE), "d2")
            assert await queue.done(running.id)
            await pragma(queue, "max_page_count = 100000")
            assert (await queue.put(submission("large", payload=LARGE), "d2")).status == "new"

        use(path, act)

    def test_a_large_event_takes_no_small_ones_of_its_group_with_it(self, path):
        async def act(queue: Queue) -> None:
            await pragma(queue, "max_page_count = 40")
            large = queue.put(submission("large", payload=LARGE), "d0")
            small = [queue.put(submission(f"s{n}"), f"d{n}") for n in (1, 2)]
            answers = await asyncio.gather(large, *small, return_exceptions=True)
            assert isinstance(answers[0], QueueUnavailable)
            assert [each.status for each in answers[1:]] == ["new", "new"]

        use(path, act)

    def test_a_server_goes_on_once_files_can_grow_again(self, path):
        # The kernel's own refusal, while SQLite writes its log.
        said = output_of(
            """
            import asyncio, os, resource, sys
            from onecopy.agents.queue.queue import Queue
            from onecopy.errors import QueueUnavailable
            from tests.agents.queue.opening import submission

            def limit(size):
                resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

            async def main(path):
                queue = Queue.open(path)
                kept = await queue.put(submission("s"), "d0")
                limit(os.path.getsize(path + "-wal") + 5000)
                for n in range(3):
                    try:
                        await queue.put(submission("s", payload="x" * 8_000_000), f"d{n + 1}")
                    except QueueUnavailable as error:
                        print("refused", str(error).count("tried again"))
                limit(resource.RLIM_INFINITY)
                print((await queue.put(submission("t", payload="x" * 100_000), "d9")).status)
                assert (await queue.take()).id == kept.id
                print(await queue.counts())
                await queue.close()

            asyncio.run(main(sys.argv[1]))
            """,
            path,
        )
        assert said.splitlines() == [
            *["refused 1"] * 3,
            "new",
            "{'queued': 1, 'running': 1, 'done': 0, 'dead': 0, 'superseded': 0}",
        ]

    def test_ends_of_runs_fit_on_a_disk_without_any_room(self, path):
        said = output_of(
            """
            import asyncio, os, resource, sys
            from onecopy.agents.queue.queue import Queue
            from onecopy.errors import QueueUnavailable
            from tests.agents.queue.opening import submission

            async def main(path):
                queue = Queue.open(path)
                for n in range(20):
                    await queue.put(submission(f"s{n}"), f"d{n}")
                running = [await queue.take() for _ in range(20)]
                size = os.path.getsize(path + "-wal")
                resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
                for event in running:
                    assert await queue.done(event.id, "x" * 4000)
                try:
                    await queue.put(submission("s", payload="x" * 8_000_000), "large")
                except QueueUnavailable:
                    print(await queue.counts())
                await queue.close()

            asyncio.run(main(sys.argv[1]))
            """,
            path,
        )
        assert said == "{'queued': 0, 'running': 0, 'done': 20, 'dead': 0, 'superseded': 0}"

    def test_bodies_that_wait_for_a_slow_disk_have_a_limit(self, path, monkeypatch):
        monkeypatch.setattr("onecopy.agents.queue.queue.UNWRITTEN", 300_000)

        async def act(queue: Queue) -> None:
            puts = [queue.put(submission(f"s{n}", payload=LARGE), f"d{n}") for n in range(3)]
            answers = await asyncio.gather(*puts, return_exceptions=True)
            assert [isinstance(each, QueueUnavailable) for each in answers] == [False, True, True]
            assert (await queue.put(submission("s1", payload=LARGE), "d1")).status == "new"

        use(path, act)


def test_a_read_only_file_is_refused_until_it_can_be_written(path):
    async def act(queue: Queue) -> None:
        await pragma(queue, "query_only = ON")
        with pytest.raises(QueueUnavailable, match="check its owner, its mode"):
            await queue.put(submission(), "d1")
        assert (await queue.put(submission(), "d1")).status == "new"

    use(path, act)


def test_a_file_that_another_program_holds_is_refused_until_it_is_free(path, monkeypatch):
    monkeypatch.setattr(file, "PATIENCE", 0.05)

    async def act(queue: Queue) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(QueueUnavailable, match="another program holds it locked"):
                await queue.put(submission(), "d1")
        assert (await queue.put(submission(), "d1")).status == "new"

    use(path, act)


class TestCommitsThatFailedAndDidNot:
    """The disk fails after the commit: what was refused may be there."""

    @pytest.fixture
    def fail(self, monkeypatch):
        def once() -> None:
            def transaction(self, jobs):
                monkeypatch.undo()
                self._transaction(jobs)
                raise sqlite3.OperationalError("disk I/O error")

            monkeypatch.setattr(Writer, "_transaction", transaction)

        return once

    def test_an_event_that_nobody_got_is_taken_again(self, path, fail):
        async def act(queue: Queue) -> None:
            put = await queue.put(submission(), "d1")
            fail()
            with pytest.raises(QueueUnavailable, match="tried again"):
                await queue.take()
            assert (await queue.get(put.id)).state == "running"
            event = await queue.take()
            assert (event.id, event.attempt) == (put.id, 1)

        use(path, act)

    def test_the_delivery_that_comes_again_is_a_duplicate(self, path, fail):
        async def act(queue: Queue) -> None:
            fail()
            with pytest.raises(QueueUnavailable):
                await queue.put(submission(), "d1")
            assert (await queue.put(submission(), "d1")).status == "duplicate"

        use(path, act)

    def test_an_end_can_be_told_again(self, path, fail):
        async def act(queue: Queue) -> None:
            put = await queue.put(submission(), "d1")
            await queue.take()
            fail()
            with pytest.raises(QueueUnavailable):
                await queue.done(put.id)
            assert not await queue.done(put.id)
            assert (await queue.get(put.id)).state == "done"

        use(path, act)


def test_a_file_that_was_removed_is_noticed_and_no_event_accepted(path):
    async def act(queue: Queue) -> None:
        path.rename(path.with_name("elsewhere"))
        for _ in range(2):
            with pytest.raises(QueueUnavailable, match=r"removed or replaced|cannot be opened"):
                await queue.put(submission(), "d1")
        path.with_name("elsewhere").rename(path)
        assert (await queue.put(submission(), "d1")).status == "new"

    use(path, act)


class TestOtherFiles:
    def test_a_damaged_one_says_what_to_do(self, path):
        async def fill(queue: Queue) -> None:
            puts = (queue.put(submission(f"s{n}", payload="x" * 500), f"d{n}") for n in range(200))
            await asyncio.gather(*puts)

        use(path, fill)
        with path.open("r+b") as whole:
            whole.seek(4096)
            whole.write(os.urandom(path.stat().st_size - 4096))
        with pytest.raises(QueueUnavailable, match="damaged; move it away and restore"):
            use(path, nothing)
        # The lock is free again.
        with pytest.raises(QueueUnavailable, match="damaged"):
            use(path, nothing)

    def test_one_that_is_no_database_is_refused_and_left_alone(self, path):
        path.parent.mkdir(mode=0o700)
        path.write_text("something else that is long enough to be looked at " * 100)
        with pytest.raises(QueueUnavailable, match="no SQLite file; move it away"):
            use(path, nothing)
        assert path.read_text().startswith("something else")

    def test_another_programs_database_is_refused_and_left_alone(self, path):
        path.parent.mkdir(mode=0o700)
        with closing(sqlite3.connect(path)) as db:
            db.execute("CREATE TABLE mine (x)")
        with pytest.raises(QueueUnavailable, match="not a queue of events"):
            use(path, nothing)
        with closing(sqlite3.connect(path)) as db:
            assert db.execute("SELECT name FROM sqlite_master").fetchall() == [("mine",)]

    def test_one_of_a_newer_version_is_refused(self, path):
        use(path, nothing)
        with closing(sqlite3.connect(path)) as db:
            db.execute("PRAGMA user_version = 99")
        with pytest.raises(QueueUnavailable, match="newer onecopy"):
            use(path, nothing)

    def test_a_folder_that_others_may_write_is_refused(self, path):
        path.parent.mkdir()
        path.parent.chmod(0o777)
        with pytest.raises(QueueUnavailable, match="chmod go-w"):
            use(path, nothing)

    def test_a_path_that_is_a_folder_is_refused(self, tmp_path):
        with pytest.raises(QueueUnavailable, match="Is a directory"):
            use(tmp_path, nothing)

    def test_there_is_nothing_to_read_before_a_server_was_there(self, path):
        with pytest.raises(QueueUnavailable, match="cannot be opened"):
            Reader(path)


HOLD = """
import asyncio, sys
from onecopy.agents.queue.queue import Queue
queue = Queue.open(sys.argv[1])
print("open", flush=True)
sys.stdin.read()
"""


class TestTwoServers:
    def test_the_second_is_told_who_has_the_file_until_that_one_is_killed(self, path):
        with script(HOLD, path) as first:
            assert first.stdout.readline() == "open\n"
            with pytest.raises(QueueUnavailable, match=f"process {first.pid} on .* has opened it"):
                use(path, nothing)
            first.kill()
            first.wait()
            use(path, nothing)

    def test_a_child_of_a_killed_server_does_not_keep_the_file(self, path):
        fork = 'import os; print("forked", flush=True) if os.fork() else None; sys.stdin.read()'
        with script(HOLD.replace("sys.stdin.read()", fork), path) as first:
            assert [first.stdout.readline() for _ in range(2)] == ["open\n", "forked\n"]
            first.kill()
            first.wait()
            use(path, nothing)
            # Its child ends with the pipe of its input.

    def test_one_process_opens_it_once(self, path):
        async def again(_: Queue) -> None:
            with pytest.raises(QueueUnavailable, match="this process has opened it"):
                Queue.open(path)

        use(path, again)
        use(path, nothing)

    def test_others_may_read(self, path):
        async def act(queue: Queue) -> None:
            put = await queue.put(submission(), "d1")
            code = (
                "import sys; from onecopy.agents.queue.reader import Reader; "
                "print([each.id for each in Reader(sys.argv[1]).list()])"
            )
            said = await asyncio.to_thread(output_of, code, path)
            assert said == str([put.id])

        use(path, act)


class TestBackups:
    def test_one_is_whole_and_can_be_opened(self, path, tmp_path):
        copy = tmp_path / "copy.db"

        async def act(queue: Queue) -> None:
            await queue.put(submission("s1"), "d1")
            await queue.put(submission("s2"), "d2")
            await queue.take()
            await queue.backup(copy)
            await queue.put(submission("s3"), "d3")

        async def look(queue: Queue) -> None:
            assert (await queue.counts())["queued"] == 2
            assert await queue.recover() == (1, 0, 0)
            assert (await queue.put(submission("s1"), "d1")).status == "duplicate"

        use(path, act)
        assert copy.stat().st_mode & 0o777 == 0o600
        use(copy, look)
        assert {each.name for each in tmp_path.iterdir()} == {"copy.db", "copy.db.lock", "data"}

    def test_it_replaces_no_file(self, path, tmp_path):
        copy = tmp_path / "copy.db"
        copy.write_text("mine")

        async def act(queue: Queue) -> None:
            with pytest.raises(QueueUnavailable, match="give a new name"):
                await queue.backup(copy)
            with pytest.raises(QueueUnavailable, match=r"cannot be opened|No such file"):
                await queue.backup(tmp_path / "nowhere" / "copy.db")

        use(path, act)
        assert copy.read_text() == "mine"
