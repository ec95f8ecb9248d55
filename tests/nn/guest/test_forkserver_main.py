"""What is forked: it shares memory with the server, and nothing else with other guests."""

from __future__ import annotations

import os
import resource
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from onecopy.errors import WorkerLost
from onecopy.guests.workers.spawn import environment
from onecopy.nn.guest.forkserver import ForkServer
from onecopy.nn.guest.process import GuestProcess
from onecopy.store import wire
from tests.processes import output_of


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    server = ForkServer()
    yield server
    server.close()
    assert server.wait(60)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def forked(server: ForkServer, stack: ExitStack) -> GuestProcess:
    process = GuestProcess(server)
    stack.callback(process.close)
    process.await_ready()
    return process


def descriptors(pid: int) -> dict[int, str]:
    links = Path(f"/proc/{pid}/fd").iterdir()
    return {int(each.name): str(each.readlink()) for each in links}


def settle(server: ForkServer) -> None:
    """Return once it has done all that it was asked for: a request that is none is dropped then."""
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            wire.send(server._sock, b"fork", (theirs.fileno(),))
        assert ours.recv(1) == b""


def private_dirty(pid: int) -> int:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    (line,) = (each for each in text.splitlines() if each.startswith("Private_Dirty:"))
    return int(line.split()[1]) * 1024


def test_the_server_has_one_thread_whatever_it_has_forked(server, stack):
    for _ in range(2):
        forked(server, stack)
        assert len(list(Path(f"/proc/{server.pid}/task").iterdir())) == 1


def test_a_fork_has_its_two_sockets_and_nobody_elses(server, stack):
    everyone = [forked(server, stack) for _ in range(3)]
    seen = set()
    for process in everyone:
        beyond = {link for fd, link in descriptors(process.pid).items() if fd > 2}
        assert len(beyond) == 2
        assert all(link.startswith("socket:") for link in beyond)
        assert not beyond & seen
        seen |= beyond
    settle(server)
    assert not seen & set(descriptors(server.pid).values())


def test_the_end_of_each_is_seen_while_others_go_on(server, stack):
    first, middle, last = (forked(server, stack) for _ in range(3))
    os.kill(middle.pid, signal.SIGKILL)
    assert middle.receive() is None
    assert first.is_alive
    assert last.is_alive
    with middle.give_models() as models:
        assert wire.receive(models) == (b"", [])


def test_a_process_whose_host_hangs_up_ends_by_itself(server, stack):
    process = forked(server, stack)
    process.control.close()
    assert select.select([process.pidfd], [], [], 60)[0]
    assert process.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGABRT, signal.SIGTERM])
def test_the_signal_that_ended_one_is_known(server, stack, number):
    process = forked(server, stack)
    os.kill(process.pid, number)
    assert process.wait() == -number


def test_one_that_ended_before_anybody_looked_is_waited_for(server, stack):
    process = GuestProcess(server)
    stack.callback(process.close)
    os.kill(process.pid, signal.SIGKILL)
    assert select.select([process.pidfd], [], [], 60)[0]
    assert process.memory() == 0
    assert process.wait() == -signal.SIGKILL


def test_an_interrupt_is_the_hosts_and_each_has_a_session(server, stack):
    process = forked(server, stack)
    os.kill(process.pid, signal.SIGINT)
    os.kill(server.pid, signal.SIGINT)
    assert os.getsid(process.pid) == process.pid
    assert forked(server, stack).is_alive
    assert process.is_alive


def test_several_threads_may_ask_at_once(server, stack):
    found: list[GuestProcess] = []

    def ask() -> None:
        for _ in range(3):
            found.append(GuestProcess(server))
            found[-1].await_ready()

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    for process in found:
        stack.callback(process.close)
    assert len({each.pid for each in found}) == 12
    assert all(each.is_alive for each in found)


def test_a_request_that_is_none_changes_nothing(server, stack):
    settle(server)
    assert forked(server, stack).is_alive


def children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def test_a_server_without_descriptors_refuses_and_loses_nothing(stack):
    server = ForkServer()
    stack.callback(server.close)
    forked(server, stack)
    settle(server)
    before = descriptors(server.pid)
    limits = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
    refused = 0
    for few in range(3, max(before) + 8):
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (few, limits[1]))
        try:
            process = GuestProcess(server)
        except (OSError, WorkerLost):
            refused += 1
        else:
            process.kill()
            assert process.wait() == -signal.SIGKILL
            process.close()
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, limits)
    assert refused >= 3
    process = forked(server, stack)
    assert len(children(server.pid)) == 2
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert forked(server, stack).is_alive
    assert len(children(server.pid)) == 2
    settle(server)
    assert len(descriptors(server.pid)) == len(before) + 2


def test_nothing_that_can_be_written_is_shared(server, stack):
    process = forked(server, stack)
    maps = Path(f"/proc/{process.pid}/maps").read_text().splitlines()
    rights = [line.split()[1] for line in maps]
    assert not [each for each in rights if each[1] == "w" and each[3] == "s"]


FRESH = """
import socket, sys
from onecopy.nn.guest import runner
runner.import_all()
runner.Runner(None, None)
print(open("/proc/self/smaps_rollup").read())
"""


def test_most_of_its_memory_is_the_servers(server, stack):
    process = forked(server, stack)
    rollup = output_of(FRESH)
    (fresh,) = (int(x.split()[1]) for x in rollup.splitlines() if x.startswith("Private_Dirty:"))
    assert private_dirty(process.pid) < fresh * 1024 / 2


BROKEN = """
import sys
from onecopy.nn.guest import forkserver_main, runner
def main(*_): raise SystemError("broken")
runner.main = main
forkserver_main._run(0, 1, 2)
"""


def test_a_fork_that_fails_says_why_and_never_becomes_a_server():
    done = subprocess.run(
        [sys.executable, "-c", BROKEN],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert "SystemError: broken" in done.stderr
