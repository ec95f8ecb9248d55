"""The process of a guest from its host's side: it gets ready, is killed, ends with its host."""

from __future__ import annotations

import os
import select
import signal

import pytest

from onecopy.errors import WorkerLost
from onecopy.nn.guest.process import GuestProcess
from tests.conftest import open_files
from tests.processes import script


def test_it_gets_ready_and_ends_when_it_is_closed():
    before = open_files()
    process = GuestProcess()
    process.await_ready()
    assert process.memory() > 1 << 20
    process.close()
    process.close()
    assert open_files() == before


def test_one_that_dies_is_lost():
    process = GuestProcess()
    process.kill()
    with pytest.raises(WorkerLost, match="did not start"):
        process.await_ready()
    assert process.wait() == -signal.SIGKILL
    assert process.memory() == 0
    process.close()


HOST = """
import os, sys
from onecopy.nn.guest.process import GuestProcess
process = GuestProcess()
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
