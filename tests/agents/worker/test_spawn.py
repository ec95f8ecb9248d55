"""Starting a worker's process."""

from __future__ import annotations

import os
import signal

from onecopy.agents.worker.limits import Limits
from onecopy.agents.worker.spawn import spawn


def test_what_it_says_last_is_read_without_waiting(tmp_path):
    with (tmp_path / "no component").open("w+b") as file:
        spawned = spawn(file.fileno(), Limits())
        assert spawned.process.wait(60) == 1
        assert "WasmtimeError" in spawned.said()
        assert spawned.said() == ""
        spawned.sock.close()
        os.close(spawned.errors)


def test_it_has_nothing_of_the_servers_environment(actions, monkeypatch, tmp_path):
    monkeypatch.setenv("ONECOPY_TEST_SECRET", "secret")
    with (tmp_path / "no component").open("w+b") as file:
        spawned = spawn(file.fileno(), Limits())
        try:
            with open(f"/proc/{spawned.process.pid}/environ", "rb") as environ:
                assert b"secret" not in environ.read()
        finally:
            spawned.process.send_signal(signal.SIGKILL)
            spawned.process.wait()
            spawned.sock.close()
            os.close(spawned.errors)
