from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest
import torch

import onecopy
from onecopy import AccessDenied, InvalidArgument, LockLost, StoreRunning, StoreUnavailable
from onecopy.store import launch
from onecopy.store.daemon.config import Config


@pytest.fixture
def serve(runtime: Path):
    """Start daemons of their own, as `onecopy serve` does; they end with the test."""
    started = []

    def serve(name: str = "own", **options: object):
        config = Config(name=name, base=str(runtime), capacity=64 << 20, **options)
        process = launch.spawn(config)
        started.append(process)
        return process

    yield serve
    for process in started:
        process.kill()
        process.wait()


def test_a_started_store_is_gone_without_a_trace_when_it_is_closed(runtime: Path) -> None:
    store = onecopy.start("test", capacity="1MiB")
    pid = store.pid
    store.close()
    assert list(runtime.iterdir()) == []
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_two_stores_of_one_name_cannot_run() -> None:
    with (
        onecopy.start("test", capacity="1MiB") as store,
        pytest.raises(StoreRunning, match="connect to it"),
    ):
        onecopy.start("test", capacity="1MiB")
    assert store.name == "test"


def test_many_stores_run_side_by_side() -> None:
    with onecopy.start("a", capacity="1MiB") as a, onecopy.start("b", capacity="1MiB") as b:
        a.save("x", b"a")
        b.save("x", b"b")
        assert bytes(a.load("x")) == b"a"
        assert bytes(b.load("x")) == b"b"


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "a b", "x" * 101, "ü", None])
def test_a_bad_store_name_is_refused(name) -> None:
    with pytest.raises(InvalidArgument, match="cannot name a store"):
        onecopy.start(name)
    with pytest.raises(InvalidArgument, match="cannot name a store"):
        onecopy.connect(name)


@pytest.mark.parametrize("capacity", [0, -1, "lots", "8 Gibberish"])
def test_a_bad_capacity_is_refused(capacity) -> None:
    with pytest.raises(InvalidArgument, match="size"):
        onecopy.start("test", capacity=capacity)


def test_the_capacity_is_half_of_the_memory_if_none_is_given() -> None:
    with onecopy.start("test") as store:
        assert store.stats().capacity == launch.default_capacity()


def test_connecting_to_no_store_says_how_to_start_one() -> None:
    with pytest.raises(StoreUnavailable, match=r"no store 'nothing' answers.*serve nothing"):
        onecopy.connect("nothing", timeout=0)
    with pytest.raises(ConnectionError):
        onecopy.connect("nothing", timeout=0.05)


def test_connecting_waits_until_the_store_is_up(serve) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        connected = pool.submit(onecopy.connect, "own", timeout=30)
        serve()
        with connected.result() as store:
            store.save("a", b"x")


def test_a_killed_store_is_replaced_though_its_socket_is_left(serve, runtime: Path) -> None:
    first = serve()
    first.kill()
    first.wait()
    assert (runtime / "own" / "socket").exists()
    serve()
    with onecopy.connect("own", timeout=0) as store:
        assert store.names() == []


def test_sigterm_ends_a_store_cleanly(serve, runtime: Path) -> None:
    process = serve(keep_log=False)
    process.terminate()
    assert process.wait(30) == 0
    assert list(runtime.iterdir()) == []


def test_the_folder_has_the_pid_and_the_log(serve, runtime: Path) -> None:
    process = serve()
    assert int((runtime / "own" / "pid").read_text()) == process.pid
    assert "store 'own' serves 64 MiB" in (runtime / "own" / "log").read_text()


def test_the_runtime_directory_is_ours_alone(serve, runtime: Path) -> None:
    serve()
    for folder in (runtime, runtime / "own"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((runtime / "own" / "socket").stat().st_mode) == 0o600


def test_a_directory_that_others_may_write_is_refused(runtime: Path) -> None:
    runtime.mkdir()
    runtime.chmod(0o777)
    with pytest.raises(AccessDenied, match="chmod"):
        onecopy.start("test", capacity="1MiB")


def test_the_default_directory_goes_when_its_last_store_does(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.delenv("ONECOPY_RUNTIME_DIR")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with onecopy.start("test", capacity="1MiB"):
        assert (tmp_path / "onecopy" / "test" / "socket").exists()
    assert list(tmp_path.iterdir()) == []


def test_a_default_directory_of_somebody_elses_making_is_not_trusted(
    monkeypatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("ONECOPY_RUNTIME_DIR")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "onecopy").mkdir()
    (tmp_path / "onecopy").chmod(0o777)
    with pytest.raises(AccessDenied):
        onecopy.connect("test", timeout=0)


def test_a_directory_with_a_long_path_works(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ONECOPY_RUNTIME_DIR", str(tmp_path / ("x" * 100) / ("y" * 100)))
    with onecopy.start("test", capacity="1MiB") as store:
        store.save("a", b"x")
        assert bytes(store.load("a")) == b"x"


class TestTheDeathOfTheDaemon:
    def test_readers_keep_their_tensors_and_callers_get_a_typed_error(self, serve) -> None:
        process = serve()
        with onecopy.connect("own") as store:
            store.save("a", torch.ones(5))
            held = store.load("a", mode="readonly")
            process.kill()
            process.wait()
            assert held.eq(1).all()
            for use in (
                lambda: store.load("a"),
                lambda: store.load("a", mode="readonly"),
                lambda: store.load("b", timeout=0.05),
                lambda: store.save("b", b"x"),
                lambda: store.save("b", bytes(2 << 20)),
                lambda: store.remove("a"),
                lambda: store.stat("a"),
                lambda: store.names(),
                lambda: "a" in store,
                lambda: store.watch(),
                lambda: store.lock("a").acquire(),
                lambda: store.stats(),
            ):
                with pytest.raises(StoreUnavailable, match="start"):
                    use()

    def test_a_restarted_store_serves_the_same_handles(self, serve, direct: bool) -> None:
        process = serve()
        with onecopy.connect("own", direct=direct) as store:
            store.save("a", torch.zeros(5))
            held = store.load("a", mode="readonly")
            process.kill()
            process.wait()
            serve()
            assert store.names() == []
            store.save("a", torch.ones(5))
            assert store.load("a", mode="readonly").eq(1).all()
            assert held.eq(0).all()

    def test_a_load_waits_for_the_next_daemon(self, serve) -> None:
        from concurrent.futures import ThreadPoolExecutor

        process = serve()
        with onecopy.connect("own") as store, ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(store.load, "a", timeout=60)
            process.kill()
            process.wait()
            serve()
            with onecopy.connect("own") as other:
                other.save("a", b"x")
                assert bytes(waiting.result()) == b"x"

    def test_a_lock_that_was_held_is_lost(self, serve) -> None:
        process = serve()
        with onecopy.connect("own") as store:
            lock = store.lock("a")
            lock.acquire()
            process.kill()
            process.wait()
            serve()
            store.names()
            with pytest.raises(LockLost, match="check what it protected"):
                lock.release()


def test_an_idle_store_ends_by_itself(serve) -> None:
    process = serve(idle_exit=0.05)
    with onecopy.connect("own") as store:
        store.save("a", torch.ones(3))
        held = store.load("a")
    assert process.poll() is None
    del held
    assert process.wait(30) == 0


def test_a_listening_socket_that_was_passed_is_used(runtime: Path) -> None:
    import subprocess
    import sys

    (runtime / "own").mkdir(parents=True)
    runtime.chmod(0o700)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(str(runtime / "own" / "socket"))
    listener.listen()
    config = Config(name="own", base=str(runtime), capacity=1 << 20)
    code = (
        "import os, sys; os.dup2(int(sys.argv[1]), 3); os.environ['LISTEN_PID'] = str(os.getpid());"
        "os.environ['LISTEN_FDS'] = '1'; os.execv(sys.executable, sys.argv[2:])"
    )
    command = [sys.executable, "-c", code, str(listener.fileno()), *launch.command(config)]
    environment = launch.environment()
    with subprocess.Popen(command, pass_fds=[listener.fileno()], env=environment) as process:
        with onecopy.connect("own", timeout=30) as store:
            store.save("a", b"x")
            assert store.pid == process.pid
        process.terminate()
    assert (runtime / "own" / "socket").exists()
    listener.close()


def test_the_service_manager_is_told_when_it_serves(runtime: Path, monkeypatch, tmp_path) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        manager.settimeout(30)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        with onecopy.start("test", capacity="1MiB"):
            assert manager.recv(100) == b"READY=1"
        assert manager.recv(100) == b"STOPPING=1"
