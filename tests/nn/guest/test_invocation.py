"""What a guest is given is checked and opened, and closed again."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

import onecopy
from onecopy.errors import InvalidArgument, WindowRefused
from onecopy.nn.guest import invocation
from onecopy.nn.guest.invocation import opened
from onecopy.nn.guest.messages import Folder
from tests.conftest import open_files

STREAMS = (None, None, None)
LIMIT = 1 << 20


def test_all_of_it_arrives(tmp_path) -> None:
    before = open_files()
    dirs = {"/rw": tmp_path, "/ro": (tmp_path, "ro")}
    with opened(("a", "é"), {"K": "v"}, dirs, STREAMS, LIMIT) as given:
        start = given.start
        assert (start.args, start.env, start.memory_limit) == (("a", "é"), (("K", "v"),), LIMIT)
        assert start.folders == (Folder("/rw"), Folder("/ro", writable=False))
        assert all(os.path.samestat(os.fstat(fd), tmp_path.stat()) for fd in given.folders)
        assert given.streams == (0, 1, 2)
        assert (given.windows, given.windows_nbytes) == ((), 0)
    assert open_files() == before


def test_streams_are_files_descriptors_and_nothing(tmp_path) -> None:
    before = open_files()
    with (tmp_path / "f").open("w") as file:
        streams = (subprocess.DEVNULL, file, file.fileno())
        with opened((), {}, {}, streams, LIMIT) as given:
            null, *others = given.streams
            assert os.path.samestat(os.fstat(null), Path(os.devnull).stat())
            assert others == [file.fileno()] * 2
    with (
        pytest.raises(InvalidArgument, match="no open file"),
        opened((), {}, {}, (None, file, None), LIMIT),
    ):
        pass
    assert open_files() == before


def test_windows_are_opened_and_their_pages_counted() -> None:
    with onecopy.start("tensors", capacity="16MiB") as store:
        store.save("x", np.ones(5000, np.uint8))
        before = open_files()
        windows = {"x": store.ref("x")}
        with opened((), {}, {}, STREAMS, LIMIT, windows) as given:
            ((name, fields),) = given.start.windows
            assert (name, fields.nbytes, fields.dtype) == ("x", 5000, "U8")
            assert len(given.windows) == 1
            assert given.windows_nbytes == 8192
        assert open_files() == before
        store.save("m", np.ones(1024), mutable=True, align=4096)
        with (
            pytest.raises(WindowRefused),
            opened((), {}, {}, STREAMS, LIMIT, {"x": store.ref("x"), "m": store.ref("m")}),
        ):
            pass
        assert open_files() == before


@pytest.mark.parametrize(
    ("args", "env", "dirs", "limit"),
    [
        (("a\0",), {}, {}, LIMIT),
        ((1,), {}, {}, LIMIT),
        (("x" * 200_000,), {}, {}, LIMIT),
        ((), {"K": "\0"}, {}, LIMIT),
        ((), {}, {"/": ("/tmp", "rwx")}, LIMIT),
        ((), {}, {"/": "/proc/self"}, LIMIT),
        ((), {}, {"/": "/"}, LIMIT),
        ((), {}, {}, 0),
        ((), {}, {}, (1 << 32) + 1),
    ],
)
def test_what_no_guest_may_have_is_refused_and_nothing_stays_open(args, env, dirs, limit) -> None:
    before = open_files()
    with pytest.raises(InvalidArgument), opened(args, env, dirs, STREAMS, limit):
        pass
    assert open_files() == before


def test_a_link_to_the_files_of_processes_is_seen_through(tmp_path) -> None:
    (tmp_path / "link").symlink_to("/proc")
    with (
        pytest.raises(InvalidArgument, match="/proc"),
        opened((), {}, {"/": tmp_path / "link"}, STREAMS, LIMIT),
    ):
        pass


def test_more_folders_than_a_message_carries_are_refused(tmp_path) -> None:
    before = open_files()
    dirs = {str(number): tmp_path for number in range(invocation._FOLDERS + 2)}
    with pytest.raises(InvalidArgument, match="folders"), opened((), {}, dirs, STREAMS, LIMIT):
        pass
    assert open_files() == before
