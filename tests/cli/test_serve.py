"""Stores that `serve` runs, and `stop` ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

import onecopy
from onecopy.cli import serve as module
from onecopy.errors import StoreUnavailable
from onecopy.store.runtime import Place
from tests.cli.commands import LINE, await_gone, command, refused, run, started


@contextmanager
def foreground(*arguments: object, **options: object) -> Iterator[subprocess.Popen[str]]:
    """Start a store in the foreground, and end it if the test does not."""
    with started("serve", "--foreground", "--capacity", "8MiB", *arguments, **options) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def has_ended(pid: int) -> bool:
    """Say whether a process is gone, or waits for nothing but its parent to hear of it."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() == b""
    except OSError:
        return True


class TestInTheBackground:
    def test_it_serves_when_the_command_returns(self, background: str) -> None:
        text = command("serve", background, "--capacity", "16MiB").stdout
        with onecopy.connect(background, timeout=0) as store:
            assert store.stats().capacity == 16 << 20
            assert f"process {store.pid}" in text
            store.save("x", torch.ones(3))
            assert store.load("x").sum() == 3

    def test_it_says_where_its_log_and_pid_are(self, background: str) -> None:
        text = command("serve", background, "--capacity", "16MiB").stdout
        place = Place(background)
        with onecopy.connect(background, timeout=0) as store:
            assert place.pid.read_text().strip() == str(store.pid)
        assert str(place.pid) in text
        assert str(place.log) in text
        assert "serves 16 MiB" in place.log.read_text()

    def test_it_is_in_no_ones_process_group(self, background: str) -> None:
        command("serve", background, "--capacity", "16MiB")
        with onecopy.connect(background, timeout=0) as store:
            assert os.getsid(store.pid) == store.pid

    def test_it_inherits_no_descriptor(self, background: str) -> None:
        reader, writer = os.pipe()
        line = [*LINE, "serve", background, "--capacity", "16MiB"]
        subprocess.run(line, pass_fds=[writer], check=True, capture_output=True)
        os.close(writer)
        assert os.read(reader, 1) == b""  # The end: nobody has the writing side.
        os.close(reader)

    def test_a_name_that_is_taken_is_refused(self, store: onecopy.Store) -> None:
        result = command("serve", "test", check=False)
        assert result.returncode == 1
        assert result.stderr.startswith("onecopy: a store 'test' is running already")
        assert result.stderr.count("\n") == 1
        assert store.stats().entries == 0

    def test_a_bad_name_is_refused(self) -> None:
        assert "'../up' cannot name a store" in refused("serve", "../up")
        assert "'../up' cannot name a store" in refused("serve", "../up", "--foreground")

    def test_a_runtime_directory_of_others_is_refused(self, runtime: Path) -> None:
        runtime.mkdir()
        runtime.chmod(0o777)
        assert "chmod it to 700" in refused("serve", "x")

    def test_it_ends_when_it_is_idle(self) -> None:
        command("serve", "idle", "--capacity", "16MiB", "--idle-exit", "50ms")
        await_gone(Place("idle").pid)


class TestInTheForeground:
    def test_the_process_becomes_the_daemon(self) -> None:
        with foreground("x") as process, onecopy.connect("x") as store:
            assert store.pid == process.pid

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_a_signal_ends_it_cleanly(self, number: signal.Signals, runtime: Path) -> None:
        with foreground("x") as process:
            onecopy.connect("x").close()
            process.send_signal(number)
            output, _ = process.communicate(timeout=20)
        assert process.returncode == 0
        assert "stopped with 0 entries" in output
        assert list(runtime.iterdir()) == []

    @pytest.mark.usefixtures("store")
    def test_a_name_that_is_taken_is_refused(self) -> None:
        with foreground("test") as process:
            output, _ = process.communicate(timeout=20)
        assert process.returncode == 1
        assert "is running already" in output
        assert "Traceback" not in output

    def test_the_service_manager_hears_when_it_serves_and_when_it_stops(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(str(tmp_path / "notify"))
            manager.settimeout(20)
            with foreground("x") as process:
                assert manager.recv(100) == b"READY=1"
                onecopy.connect("x", timeout=0).close()
                process.terminate()
                assert manager.recv(100) == b"STOPPING=1"

    def test_it_takes_the_socket_that_the_service_manager_made(self) -> None:
        place = Place("x")
        place.create()
        with place.bind() as listener, self.activated(listener, "x") as process:
            # The connection may be made, and wait, before the daemon is there.
            with onecopy.connect("x") as store:
                store.save("a", b"bytes")
                assert store.pid == process.pid
            process.terminate()
            assert process.wait(20) == 0
            # The socket belongs to the manager, who starts the daemon again when it is used.
            assert place.socket.exists()
            with self.activated(listener, "x"), onecopy.connect("x") as store:
                assert store.names() == []

    @staticmethod
    @contextmanager
    def activated(listener: socket.socket, name: str) -> Iterator[subprocess.Popen[bytes]]:
        """Start a store as systemd does: with the socket as descriptor 3."""
        wrapper = (
            "import os, sys\n"
            "os.dup2(int(sys.argv[1]), 3)\n"
            "os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()))\n"
            "os.execv(sys.executable, [sys.executable, *sys.argv[2:]])\n"
        )
        line = [*LINE[1:], "serve", name, "--foreground", "--capacity", "8MiB"]
        fd = listener.fileno()
        with subprocess.Popen(
            [sys.executable, "-c", wrapper, str(fd), *line],
            pass_fds=[fd],
            stderr=subprocess.DEVNULL,
        ) as process:
            try:
                yield process
            finally:
                process.terminate()


class TestStop:
    def test_it_returns_when_the_store_has_gone(self, runtime: Path) -> None:
        command("serve", "x", "--capacity", "16MiB")
        with onecopy.connect("x", timeout=0) as store:
            pid = store.pid
        assert run("stop", "x").stdout == "store 'x' stopped\n"
        assert has_ended(pid)
        assert [path.name for path in runtime.rglob("*")] in ([], ["x", "log"])
        assert "no store 'x' is running" in refused("stop", "x")

    def test_those_who_hold_tensors_keep_them(self) -> None:
        command("serve", "x", "--capacity", "16MiB")
        with onecopy.connect("x", timeout=0) as store:
            store.save("a", torch.ones(1000))
            held = store.load("a")
            run("stop", "x")
            assert held.sum() == 1000

    def test_a_foreground_store_is_stopped_too(self) -> None:
        with foreground("x") as process:
            onecopy.connect("x").close()
            run("stop", "x")
            assert process.wait(20) == 0

    @pytest.mark.usefixtures("store")
    def test_one_that_does_not_end_is_an_error(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(signal, "pidfd_send_signal", lambda *_: None)
        assert "has not ended within 0.01 s" in refused("stop", "test", "--timeout", "10ms")

    def test_no_other_process_is_ever_signalled(self) -> None:
        with pytest.raises(StoreUnavailable, match="another container"):
            module._open_daemon("test", os.getpid())
        with pytest.raises(StoreUnavailable, match="another container"):
            module._open_daemon("test", 2**22 + 1)


def test_a_pidfd_says_when_its_process_has_ended() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        pidfd = os.pidfd_open(process.pid)
        assert not module._ended(pidfd, 0)
        process.kill()
        assert module._ended(pidfd, 20)
        os.close(pidfd)
