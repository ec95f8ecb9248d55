"""The server that forks the processes of guests: its start, its end, and what ends with it."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import threading

import pytest

from onecopy.errors import WorkerLost
from onecopy.nn.guest.forkserver import ForkServer
from onecopy.nn.guest.process import GuestProcess
from onecopy.nn.guest.running import Guests
from tests.conftest import open_files
from tests.processes import script

ECHO = """
#include "tiny.h"
MAIN {
    char byte = 0;
    struct piece piece = {&byte, 1};
    uint32_t nbytes;
    fd_read(0, &piece, 1, &nbytes);
    proc_exit(byte);
}
"""
WAIT = 60


def test_it_ends_when_it_is_closed_and_leaves_nothing_open():
    before = open_files()
    server = ForkServer()
    server.close()
    server.close()
    assert server.wait(WAIT)
    for thread in threading.enumerate():
        if thread.name == "fork server of guests":
            thread.join()
    assert open_files() == before


def test_it_stays_until_the_last_guest_has_ended():
    server = ForkServer()
    process = GuestProcess(server)
    server.close()
    process.await_ready()
    assert not server.wait(0)
    process.close()
    assert server.wait(WAIT)


def test_its_guests_end_with_it():
    server = ForkServer()
    processes = [GuestProcess(server) for _ in range(2)]
    processes[0].await_ready()
    os.kill(server.pid, signal.SIGKILL)
    assert [each.wait() for each in processes] == [-signal.SIGKILL] * 2
    with pytest.raises(WorkerLost):
        GuestProcess(server)
    for each in processes:
        each.close()
    server.close()
    assert server.wait(WAIT)


HOST = """
import os, sys
from onecopy.nn.guest.forkserver import ForkServer
server = ForkServer()
if len(sys.argv) > 1 and not os.fork():  # a fork has the host's sockets, too
    sys.stdin.read()
    os._exit(0)
print(server.pid, flush=True)
sys.stdin.read()
{end}
"""


@pytest.mark.parametrize("arguments", [(), ("fork",)])
def test_it_ends_with_its_host(arguments):
    with script(HOST.format(end=""), *arguments) as host:
        assert host.stdout is not None
        pidfd = os.pidfd_open(int(host.stdout.readline()))
        host.kill()
        assert select.select([pidfd], [], [], WAIT)[0]
        os.close(pidfd)


def test_a_fork_of_its_host_does_not_keep_it():
    with script(HOST.format(end="server.close(); print(server.wait(60))"), "fork") as host:
        output, errors = host.communicate("\n", timeout=WAIT)
    assert output.split()[1] == "True", errors


def test_a_guest_whose_server_is_killed_is_lost_and_the_next_one_has_another(guests, command):
    wasm, errors = command(ECHO), []
    reader, writer = os.pipe()

    def run() -> None:
        try:
            guests.run(wasm, stdin=reader)
        except WorkerLost as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    guests._starter.submit(int).result()
    while not guests.running:
        assert thread.is_alive()
        guests._starter.submit(int).result()
    killed = guests._server.pid
    os.kill(killed, signal.SIGKILL)
    thread.join()
    os.write(writer, b"\x07")
    assert [type(each) for each in errors] == [WorkerLost]
    assert guests.run(wasm, stdin=reader) == 7
    assert guests._server.pid != killed
    os.close(reader)
    os.close(writer)


def test_a_process_that_was_ready_and_died_is_replaced(command):
    guests = Guests(lambda models: models.recv(1))
    guests.prepare()
    process = guests._spare.result()
    os.kill(guests._server.pid, signal.SIGKILL)
    assert select.select([process.pidfd], [], [], WAIT)[0]
    assert guests.run(command(ECHO), stdin=subprocess.DEVNULL) == 0
    guests.close()


def test_guests_that_run_go_on_when_no_more_are_taken(guests, command):
    statuses = []
    reader, writer = os.pipe()
    thread = threading.Thread(
        target=lambda: statuses.append(guests.run(command(ECHO), stdin=reader))
    )
    thread.start()
    while not guests.running:
        guests._starter.submit(int).result()
    (process,) = guests.running
    guests.close()
    os.write(writer, b"\x05")
    thread.join()
    assert statuses == [5]
    assert not guests.running
    assert process._closed
    os.close(reader)
    os.close(writer)
