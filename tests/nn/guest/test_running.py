"""Commands with arguments, environment, streams, folders, and how they end."""

from __future__ import annotations

import os
import subprocess
import threading
from pathlib import Path

import pytest

from onecopy.errors import (
    GuestMemoryExceeded,
    GuestTimeout,
    GuestTrapped,
    InvalidArgument,
    InvalidModule,
    StoreClosed,
)
from onecopy.nn.guest.running import Guests
from tests.conftest import open_files

MIRROR = """
#include "tiny.h"
static char text[4096], *lines[64];
static void say_all(char **each, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) say(each[i]), say("\\n");
}
MAIN {
    uint32_t count, nbytes;
    args_sizes_get(&count, &nbytes);
    args_get(lines, text);
    say_all(lines + 1, count - 1);
    environ_sizes_get(&count, &nbytes);
    environ_get(lines, text);
    say_all(lines, count);
    struct piece piece = {text, sizeof text};
    while (fd_read(0, &piece, 1, &nbytes) == 0 && nbytes) write_bytes(1, text, nbytes);
    write_bytes(2, "to the errors", 13);
    proc_exit(7);
}
"""
FILES = """
#include "tiny.h"
static char text[4096], *args[64];
MAIN {
    uint32_t count, nbytes;
    int32_t fd;
    args_sizes_get(&count, &nbytes);
    args_get(args, text);
    int writes = args[1][0] == 'w';
    int32_t error = open_at(args[2], writes ? CREATE : 0, writes ? WRITE : READ, &fd);
    if (error) proc_exit(error);
    if (writes) {
        write_bytes(fd, "written", 7);
    } else {
        struct piece piece = {text, sizeof text};
        EXPECT(fd_read(fd, &piece, 1, &nbytes) == 0);
        write_bytes(1, text, nbytes);
    }
}
"""
TRAP = '#include "tiny.h"\nMAIN { __builtin_trap(); }'
LOOP = '#include "tiny.h"\nMAIN { for (volatile int x = 0;; x++) ; }'
LARGE = '#include "tiny.h"\nstatic volatile char all[1 << 20]; MAIN { proc_exit(all[5]); }'


@pytest.fixture
def streams(tmp_path: Path):
    """Files for the standard streams, and what reads the outputs."""
    (tmp_path / "in").write_text("one\ntwo\n")
    opened = [(tmp_path / name).open(mode) for name, mode in (("in", "r"), ("out", "w"))]
    opened.append((tmp_path / "err").open("w"))
    yield dict(zip(("stdin", "stdout", "stderr"), opened, strict=True))
    for each in opened:
        each.close()


def test_arguments_environment_and_streams_are_those_that_are_given(
    guests, command, streams, tmp_path
):
    status = guests.run(command(MIRROR), args=["a b", "é"], env={"K": "v", "E": ""}, **streams)
    assert status == 7
    assert (tmp_path / "out").read_text() == "a b\né\nK=v\nE=\none\ntwo\n"
    assert (tmp_path / "err").read_text() == "to the errors"


def test_nothing_of_the_hosts_environment_is_seen(guests, command, streams, tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET", "x")
    guests.run(command(MIRROR), **streams)
    assert (tmp_path / "out").read_text() == "one\ntwo\n"


def test_streams_that_are_not_given_are_the_hosts(guests, command, capfd, tmp_path):
    assert guests.run(command(MIRROR), args=["x"], stdin=subprocess.DEVNULL) == 7
    assert capfd.readouterr() == ("x\n", "to the errors")


def test_only_files_in_the_folders_are_there(guests, command, tmp_path):
    (tmp_path / "x").write_text("inside")
    wasm, out = command(FILES), tmp_path / "out"

    def run(*args: str, access: str = "rw", folder: Path = tmp_path) -> int:
        with out.open("w") as file:
            return guests.run(wasm, args=args, dirs={"/data": (folder, access)}, stdout=file)

    assert run("r", "x") == 0
    assert out.read_text() == "inside"
    assert run("w", "y") == 0
    assert (tmp_path / "y").read_text() == "written"
    assert run("w", "z", access="ro") != 0
    assert run("w", "x", access="ro") != 0
    assert run("r", "x", access="ro") == 0
    assert run("r", str(tmp_path / "x")) != 0
    assert run("r", "/etc/passwd") != 0
    assert (tmp_path / "x").read_text() == "inside"


def test_a_guest_without_folders_has_no_files(guests, command):
    assert guests.run(command(FILES), args=["r", "/etc/passwd"]) != 0


def test_a_guest_that_traps_is_an_error(guests, command):
    with pytest.raises(GuestTrapped, match="unreachable"):
        guests.run(command(TRAP))


def test_a_guest_that_does_not_end_is_ended(guests, command):
    with pytest.raises(GuestTimeout, match=r"0\.5 s"):
        guests.run(command(LOOP), timeout=0.5)


def test_bytes_are_a_guest_too(guests, command):
    assert guests.run(command(MIRROR).read_bytes(), stdin=subprocess.DEVNULL) == 7


def test_what_is_no_command_is_refused(guests, tmp_path):
    with pytest.raises(InvalidModule):
        guests.run(b"\x7fELF")
    with pytest.raises(FileNotFoundError):
        guests.run(tmp_path / "none.wasm")


@pytest.mark.parametrize(
    "options",
    [
        {"args": ["a\0b"]},
        {"args": ["x" * 200_000]},
        {"env": {"a\0": "b"}},
        {"dirs": {"/": ("/tmp", "wr")}},
        {"memory_limit": 0},
        {"memory_limit": 1 << 40},
        {"stdout": object()},
        {"stdout": 9999},
    ],
)
def test_what_cannot_be_given_to_a_guest_is_refused_before_it_starts(guests, command, options):
    with pytest.raises(InvalidArgument):
        guests.run(command(MIRROR), **options)


def test_a_folder_that_is_not_there_is_refused(guests, command, tmp_path):
    (tmp_path / "file").touch()
    for name in ("none", "file"):
        with pytest.raises(OSError, match=name):
            guests.run(command(MIRROR), dirs={"/": tmp_path / name})


@pytest.mark.parametrize("folder", ["/", "/proc", "/tmp/..", "/proc/self"])
def test_no_guest_gets_the_files_of_processes(guests, command, folder):
    with pytest.raises(InvalidArgument, match="/proc"):
        guests.run(command(MIRROR), dirs={"/": (folder, "ro")})


def test_a_guest_that_starts_with_too_much_memory_is_refused(guests, command):
    with pytest.raises(GuestMemoryExceeded, match="memory_limit"):
        guests.run(command(LARGE), memory_limit=1 << 18, stdin=subprocess.DEVNULL)


def test_several_guests_run_at_once(guests, command):
    wasm, statuses = command(MIRROR), []

    def run() -> None:
        statuses.append(guests.run(wasm, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

    threads = [threading.Thread(target=run) for _ in range(3)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert statuses == [7, 7, 7]


def test_a_process_is_kept_ready_for_the_next_guest(command):
    with open(os.devnull) as null:
        guests = Guests(lambda models: models.recv(1))
        try:
            guests.prepare()
            assert guests._spare is not None
            ready = guests._spare.result().pid
            assert guests.run(command(MIRROR), stdin=null) == 7
            assert guests._spare.result().pid != ready
        finally:
            guests.close()
    guests.close()
    with pytest.raises(StoreClosed):
        guests.run(command(MIRROR))


def test_the_next_process_has_the_last_module_and_runs_any(command, tmp_path):
    guests, out = Guests(lambda models: models.recv(1)), tmp_path / "out"
    with out.open("w") as stdout:
        try:
            for source in (MIRROR, MIRROR, TRAP, MIRROR):
                if source is TRAP:
                    with pytest.raises(GuestTrapped):
                        guests.run(command(source))
                else:
                    inherited = {"stdin": subprocess.DEVNULL, "stdout": stdout}
                    status = guests.run(command(source), args=["x"], **inherited)
                    assert status == 7
        finally:
            guests.close()
    assert out.read_text() == "x\n" * 3


def test_a_process_that_dies_while_it_waits_is_replaced(command):
    guests = Guests(lambda models: models.recv(1))
    try:
        assert guests.run(command(MIRROR), stdin=subprocess.DEVNULL) == 7
        assert guests._spare is not None
        ready = guests._spare.result()
        ready.kill()
        ready.wait()
        assert guests.run(command(MIRROR), stdin=subprocess.DEVNULL) == 7
    finally:
        guests.close()


def settled(guests: Guests) -> int:
    """Return how many descriptors are open when all processes and threads of guests have ended."""
    guests._starter.submit(int).result()
    for thread in threading.enumerate():
        if thread.name == "models of a guest":
            thread.join()
    return open_files()


def test_nothing_stays_open(guests, command):
    wasm = command(MIRROR)
    guests.run(wasm, stdin=subprocess.DEVNULL)
    before = settled(guests)
    guests.run(wasm, stdin=subprocess.DEVNULL)
    with pytest.raises(GuestTrapped):
        guests.run(command(TRAP))
    guests._modules.close()
    guests.run(wasm, stdin=subprocess.DEVNULL)
    assert settled(guests) == before
