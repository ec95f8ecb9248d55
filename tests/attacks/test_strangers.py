"""Clients of another user, another group, another pid namespace; and no /proc to look into."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import onecopy
from onecopy.segments import region
from onecopy.store import messages, wire
from onecopy.store.openers import DirectOpener, SocketOpener
from tests.attacks.children import forked
from tests.attacks.patience import eventually
from tests.attacks.raw import RawClient
from tests.attacks.serving import Daemon

NOBODY = 65534
CLONE_NEWNS, CLONE_NEWPID = 0x00020000, 0x20000000
MS_REC, MS_PRIVATE = 0x4000, 0x40000
READERS = 54321  # A group that nobody has.

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


def become(gid: int, uid: int = NOBODY) -> None:
    """Give up root in this process, for good."""
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def entering(base: Path, mode: int) -> None:
    """Let others come as far as `base`: pytest's folders are closed to them."""
    for folder in base.parents:
        if folder.stat().st_uid == os.geteuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | mode)


@pytest.fixture
def daemon(runtime: Path) -> Iterator[Daemon]:
    with Daemon(runtime) as daemon:
        yield daemon


@pytest.fixture
def store(daemon: Daemon) -> Iterator[onecopy.Store]:
    with onecopy.connect("test", timeout=60) as store:
        yield store


class TestWithoutProc:
    def uses(self, store: onecopy.Store) -> type:
        return type(store._connection.session.opener)

    def test_the_daemons_proc_is_used_where_it_can_be_seen(self, store: onecopy.Store) -> None:
        assert self.uses(store) is DirectOpener

    def test_a_daemon_that_names_another_pid_is_asked_for_descriptors(
        self, store: onecopy.Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store.save("entry", b"bytes")
        receive = wire.receive

        def lie(sock: object) -> tuple[bytes, list[int]]:
            data, fds = receive(sock)
            if data and isinstance(reply := wire.decode_reply(data), messages.Welcome):
                fields = {name: getattr(reply, name) for name in reply.__struct_fields__}
                data = wire.encode(messages.Welcome(**{**fields, "pid": self.pid}))
            return data, fds

        monkeypatch.setattr(wire, "receive", lie)
        for self.pid in (1, os.getpid(), 2**22 + 1, 0, -1):
            with onecopy.connect("test", timeout=60) as other:
                assert self.uses(other) is SocketOpener
                assert bytes(other.load("entry")) == b"bytes"

    def test_no_proc_at_all_is_no_hindrance(
        self, store: onecopy.Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store.save("entry", b"bytes")
        real = os.open

        def no_proc(path: object, *args: object, **kwargs: object) -> int:
            if str(path).startswith("/proc"):
                raise FileNotFoundError(2, "no /proc here", path)
            return real(path, *args, **kwargs)

        monkeypatch.setattr(os, "open", no_proc)
        with onecopy.connect("test", timeout=60) as other:
            assert self.uses(other) is SocketOpener
            assert bytes(other.load("entry")) == b"bytes"
            other.save("more", b"1")

    @needs_root
    def test_a_client_in_a_pid_namespace_of_its_own_works(self, store: onecopy.Store) -> None:
        """It sees another /proc, and the daemon does not see its pid."""
        store.save("entry", np.arange(1000))
        store.save("mutable", np.zeros(3), mutable=True)
        libc = ctypes.CDLL(None, use_errno=True)

        def inside() -> None:
            assert os.getpid() == 1
            assert libc.mount(b"proc", b"/proc", b"proc", 0, None) == 0
            with onecopy.connect("test", timeout=60) as other:
                assert self.uses(other) is SocketOpener
                assert (other.load("entry") == np.arange(1000)).all()
                other.load("mutable")[1] = 7
                other.save("theirs", b"1")
                other.save("large", bytes(2 << 20))
                with other.lock("lock"):
                    pass
                other.lock("held at the end").acquire()

        def outside() -> None:
            assert libc.unshare(CLONE_NEWNS | CLONE_NEWPID) == 0
            # What is mounted from now on must not reach everybody else.
            assert libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) == 0
            with forked(inside) as (child,):
                child.wait()

        def allowed() -> None:
            os._exit(libc.unshare(CLONE_NEWNS | CLONE_NEWPID) != 0)

        with forked(allowed) as (child,):
            if os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT).si_status:
                pytest.skip("no namespaces here")
        with forked(outside) as (child,):
            child.wait()
        assert store.load("mutable").tolist() == [0, 7, 0]
        assert bytes(store.load("theirs")) == b"1"
        assert len(store.load("large")) == 2 << 20
        with store.lock("held at the end", timeout=60):
            pass


@needs_root
class TestAnotherUser:
    def test_is_kept_out_by_the_folder(self, daemon: Daemon, runtime: Path) -> None:
        entering(runtime, 0o011)

        def work() -> None:
            become(NOBODY)
            with pytest.raises(onecopy.AccessDenied):
                onecopy.connect("test", timeout=60)

        with forked(work) as (child,):
            child.wait()

    def test_is_refused_by_the_daemon_even_if_it_comes_so_far(
        self, daemon: Daemon, runtime: Path
    ) -> None:
        entering(runtime, 0o011)
        (runtime).chmod(0o755)
        (runtime / "test").chmod(0o755)
        (runtime / "test" / "socket").chmod(0o666)

        def work() -> None:
            become(NOBODY)
            with pytest.raises(onecopy.AccessDenied):
                onecopy.connect("test", timeout=60)
            with RawClient(hello=False) as raw:
                for request in (messages.Hello(messages.VERSION, b"x"), messages.GetStats()):
                    reply = raw.ask(request)
                    assert reply is None or isinstance(reply, messages.Refused), reply

        with forked(work) as (child,):
            child.wait()

    def test_cannot_pass_itself_off_as_the_store(self, runtime: Path) -> None:
        """Whoever makes the runtime directory first would sit behind the socket."""
        runtime.mkdir()
        os.chown(runtime, NOBODY, NOBODY)
        with pytest.raises(onecopy.AccessDenied):
            onecopy.start("test", capacity="1MiB")


@needs_root
class TestReadersOfTheGroup:
    @pytest.fixture
    def daemon(self, runtime: Path) -> Iterator[Daemon]:
        entering(runtime, 0o011)
        with Daemon(runtime, group=READERS) as daemon:
            yield daemon

    @pytest.fixture
    def as_reader(
        self, store: onecopy.Store
    ) -> Callable[[Callable[[onecopy.Store], object]], None]:
        store.save("entry", np.arange(1000))
        store.save("mutable", np.zeros(3), mutable=True)

        def run(work: Callable[[onecopy.Store], object]) -> None:
            def child() -> None:
                become(READERS)
                with onecopy.connect("test", timeout=60) as reader:
                    work(reader)

            with forked(child) as (process,):
                process.wait()
            assert store.names() == ["entry", "mutable"]
            assert store.load("mutable").tolist() == [0, 0, 0]

        return run

    def test_they_read(self, as_reader: Callable[..., None], store: onecopy.Store) -> None:
        def work(reader: onecopy.Store) -> None:
            for mode in (None, "private", "readonly"):
                value = reader.load("entry", mode=mode)
                assert (value == np.arange(1000)).all()
            private = reader.load("entry")
            private[0] = 5
            assert reader.load("entry")[0] == 0
            assert reader.names() == ["entry", "mutable"]
            assert "entry" in reader
            assert reader.stat("entry").nbytes == 8000
            assert reader.stats().entries == 2
            with pytest.raises(onecopy.WaitTimeout):
                reader.load("never", timeout=0.01)
            with reader.watch(timeout=0) as watch:
                assert list(watch) == []

        as_reader(work)

    def test_they_see_what_is_written_to_a_mutable_entry_and_write_nothing(
        self, as_reader: Callable[..., None]
    ) -> None:
        def work(reader: onecopy.Store) -> None:
            value = reader.load("mutable")
            assert value.tolist() == [0, 0, 0]
            assert not value.flags.writeable
            with pytest.raises(onecopy.AccessDenied):
                reader.load("mutable", mode="shared")

        as_reader(work)

    WRITES: tuple[Callable[[onecopy.Store], object], ...] = (
        lambda reader: reader.save("new", b"1"),
        lambda reader: reader.save("entry", b"1", overwrite=True),
        lambda reader: reader.save("large", bytes(2 << 20)),
        lambda reader: reader.remove("entry"),
        lambda reader: reader.lock("lock").acquire(),
        lambda reader: reader.lock(shared=True).acquire(),
    )

    def test_they_change_nothing(self, as_reader: Callable[..., None]) -> None:
        def work(reader: onecopy.Store) -> None:
            for write in self.WRITES:
                with pytest.raises(onecopy.AccessDenied):
                    write(reader)

        as_reader(work)

    def test_no_descriptor_they_get_can_be_opened_to_write(
        self, as_reader: Callable[..., None], store: onecopy.Store
    ) -> None:
        slots = [store._connection.session.index.find(name) for name in (b"entry", b"mutable")]

        def check(fd: int) -> None:
            os.fstat(fd)
            with pytest.raises(PermissionError):
                region.reopen(fd, os.O_RDWR)
            with pytest.raises(OSError, match="Bad file descriptor"):
                os.pwrite(fd, b"x", 0)

        def work(_: onecopy.Store) -> None:
            with RawClient(hello=False) as raw:
                raw.send(messages.Hello(messages.VERSION, os.urandom(16)))
                data, fds = wire.receive(raw.sock)
                assert not wire.decode_reply(data).writable
                assert len(fds) == 1
                for found in slots:
                    for what in (messages.READ, messages.WRITE, messages.SPEC):
                        raw.send(messages.Fetch([(found.slot, found.generation, what)]))
                        fds += wire.receive(raw.sock)[1]
                assert len(fds) >= 3
                for fd in fds:
                    check(fd)
                wire.close_all(fds)

        as_reader(work)

    def test_other_users_stay_out(self, as_reader: Callable[..., None], daemon: Daemon) -> None:
        def work() -> None:
            become(NOBODY)
            with pytest.raises(onecopy.AccessDenied):
                onecopy.connect("test", timeout=60)

        with forked(work) as (child,):
            child.wait()

    def test_what_a_reader_holds_is_in_use_until_it_dies(self, store: onecopy.Store) -> None:
        store.save("held", bytes(1000))
        reader, writer = os.pipe()

        def work() -> None:
            become(READERS)
            kept = onecopy.connect("test", timeout=60).load("held")
            os.write(writer, b"x")
            signal.pause()
            del kept

        with forked(work) as (child,):
            os.read(reader, 1)
            assert store.stat("held").in_use
            child.kill()
            eventually(lambda: not store.stat("held").in_use)
        os.close(reader)
        os.close(writer)
