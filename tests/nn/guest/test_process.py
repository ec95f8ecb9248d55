"""The process of a guest from its host's side: it gets ready, is killed, ends with its host."""

from __future__ import annotations

import os
import resource
import select
import signal
from collections.abc import Iterator

import pytest

from onecopy.errors import WorkerLost
from onecopy.nn.guest.forkserver import ForkServer
from onecopy.nn.guest.process import GuestProcess
from tests.conftest import open_files
from tests.processes import script


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    server = ForkServer()
    yield server
    server.close()
    assert server.wait(60)


def test_it_gets_ready_and_ends_when_it_is_closed(server):
    before = open_files()
    process = GuestProcess(server)
    process.await_ready()
    assert process.memory() > 1 << 20
    assert process.is_alive
    process.close()
    process.close()
    assert open_files() == before


def test_a_host_may_have_more_files_than_select_takes(server):
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limits[1] < 4096:
        pytest.skip("this machine allows no more files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, limits[1]))
    many = [os.dup(0) for _ in range(1024)]
    try:
        process = GuestProcess(server)
        process.await_ready()
        assert process.pidfd > 1023
        assert process.is_alive
        process.kill()
        assert process.wait() == -signal.SIGKILL
        process.close()
    finally:
        for fd in many:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_one_that_dies_is_lost(server):
    process = GuestProcess(server)
    process.kill()
    with pytest.raises(WorkerLost, match="did not start"):
        process.await_ready()
    assert process.wait() == -signal.SIGKILL
    assert process.wait() == -signal.SIGKILL
    assert process.memory() == 0
    assert not process.is_alive
    process.close()


def test_one_that_cannot_be_forked_is_an_error(server):
    before = open_files()
    ended = ForkServer()
    ended.close()
    with pytest.raises((WorkerLost, OSError)):
        GuestProcess(ended)
    assert ended.wait(60)
    assert open_files() == before


HOST = """
import os, sys
from onecopy.nn.guest.forkserver import ForkServer
from onecopy.nn.guest.process import GuestProcess
server = ForkServer()
process = GuestProcess(server)
process.await_ready()
print(process.pid, flush=True)
sys.stdin.read()
"""


def test_it_ends_with_its_host():

    with script(HOST) as host:
        assert host.stdout is not None
        pidfd = os.pidfd_open(int(host.stdout.readline()))
        host.kill()
        assert select.select([pidfd], [], [], 60)[0]
        os.close(pidfd)
        host.wait()
