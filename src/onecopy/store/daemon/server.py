"""What the daemon does for each message: one tagged union, one `match`."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

from onecopy.errors import (
    AccessDenied,
    InvalidArgument,
    LimitReached,
    OnecopyError,
    ProtocolError,
)
from onecopy.store import messages, wire
from onecopy.store.daemon import log
from onecopy.store.daemon.catalog import Catalog
from onecopy.store.daemon.expiry import Expiry
from onecopy.store.daemon.handshake import Handshake
from onecopy.store.daemon.listening import Listening
from onecopy.store.daemon.locks import Holder, Locks
from onecopy.store.daemon.peer import Peer
from onecopy.store.daemon.processes import Process, Processes
from onecopy.store.daemon.waits import Waits

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from onecopy.store.daemon.directory import Directory
    from onecopy.store.daemon.loop import Loop

# How often to ask whether removed entries still have users.
_SWEEP_SECONDS: Final = 0.25


class Server:
    """Serves one store on a listening socket."""

    def __init__(
        self,
        name: str,
        capacity: int,
        fd_limit: int,
        loop: Loop,
        *,
        group: bool = False,
        directory: Directory | None = None,
    ) -> None:
        self._name = name
        self._loop = loop
        self._directory = "" if directory is None else str(directory.path)
        self.catalog = _catalog(capacity, fd_limit, self._notify, group, directory)
        self._expiry = Expiry(self.catalog, loop)
        self._locks = Locks()
        self._waits = Waits()
        self._processes = Processes(loop, self._process_died)
        self.peers: set[Peer] = set()
        self._sweeping = False
        self._started = time.time()
        self._handshake = Handshake(self.catalog, group=group, directory=self._directory)
        self._listening = Listening(loop, fd_limit, self._accept)

    def reopen(self) -> None:
        """Publish what is in the directory, if there is one."""
        for entry in self.catalog.reopen():
            self._expiry.watch(entry)

    # ---- connections ----

    def listen(self, listener: socket.socket) -> None:
        """Accept connections from now on."""
        self._listening.begin(listener)

    def _accept(self, sock: socket.socket) -> None:
        self.peers.add(Peer(sock, self._loop, self._serve, self._closed))

    def _closed(self, peer: Peer) -> None:
        self.peers.discard(peer)
        self._withdraw(peer)
        process = peer.process
        if process is None or any(each.process == process for each in self.peers):
            return
        if not self._processes.watched(process):
            self._locks.release_all(process)
        elif not self._locks.holds_any(process):
            self._processes.forget(process)

    def _process_died(self, process: Process) -> None:
        for peer in [each for each in self.peers if each.process == process]:
            peer.close()
        self._locks.release_all(process)

    def _withdraw(self, peer: Peer) -> None:
        self.catalog.unreserve(peer)
        withdraw, peer.withdraw = peer.withdraw, None
        if withdraw is not None:
            withdraw()

    # ---- requests ----

    def _serve(self, peer: Peer, data: bytes, fds: list[int]) -> None:
        try:
            request = wire.decode_request(data)
            self._check(peer, request)
            self._carry_out(peer, request, fds)
        except ProtocolError as error:
            log.warning(f"process {peer.pid} sent no message of ours: {error}")
            peer.reply(messages.Refused.of(error))
            peer.close()
        except OnecopyError as error:
            peer.reply(messages.Refused.of(error))
        except OSError as error:
            peer.reply(messages.Refused.of(LimitReached(f"the store could not do it: {error}")))
        finally:
            wire.close_all(fds)

    def _check(self, peer: Peer, request: messages.Request) -> None:
        if isinstance(request, messages.Hello):
            if peer.greeted:
                raise ProtocolError("Hello was said already; a connection is one process's")
            return
        if not peer.greeted:
            raise ProtocolError("say Hello first")
        if peer.withdraw is not None and not isinstance(request, messages.Cancel):
            raise ProtocolError("this connection waits for something; only Cancel may follow")
        if not peer.writable and isinstance(request, _WRITES):
            raise AccessDenied(
                "clients of the reader group may load, list and watch, but change nothing"
            )

    def _carry_out(self, peer: Peer, request: messages.Request, fds: list[int]) -> None:
        catalog = self.catalog
        match request:
            case messages.Save():
                self._save(peer, request, fds)
            case messages.Reserve(name, nbytes, overwrite):
                self._processes.watch(peer)
                opened = catalog.reserve(peer, name, nbytes, overwrite)
                peer.reply(_DONE, opened)
                wire.close_all(opened)
            case messages.Fetch(slots):
                self._fetch(peer, slots)
            case messages.Remove(names):
                self._remove(peer, names)
            case messages.Stat(names):
                peer.reply(messages.StatReply([catalog.stat(n) for n in names[: wire.BATCH]]))
            case messages.GetStats():
                peer.reply(messages.StatsReply(self.stats()))
            case messages.Hello():
                self._handshake.greet(peer, request)
            case _:
                self._begin(peer, request)

    def _begin(self, peer: Peer, request: messages.Request) -> None:
        """Carry out a request that may keep the connection waiting, or end that."""
        match request:
            case messages.Wait(names):
                self._wait(peer, names)
            case messages.Acquire():
                self._acquire(peer, request)
            case messages.Release(number):
                self._locks.release(number, peer.process)
                peer.reply(_DONE)
            case messages.Subscribe(prefix):
                peer.prefix = prefix
                peer.withdraw = lambda: setattr(peer, "prefix", None)
                peer.reply(_DONE)
            case messages.Cancel():
                self._withdraw(peer)
                peer.reply(messages.Cancelled())

    def _save(self, peer: Peer, request: messages.Save, fds: list[int]) -> None:
        if not fds:
            raise InvalidArgument("a save comes with the descriptor of its segment")
        entry, old = self.catalog.save(request, fds, peer)
        fds.clear()  # The catalog's now.
        peer.reply(_DONE)
        self.catalog.settle(entry, old)
        self._expiry.watch(entry)

    def _remove(self, peer: Peer, names: list[str]) -> None:
        entries = self.catalog.remove(names)
        peer.reply(_DONE)
        for entry in entries:
            self.catalog.let_go(entry, "removed")

    def _fetch(self, peer: Peer, slots: list[tuple[int, int, int]]) -> None:
        opened: list[int] = []
        try:
            found = []
            for slot, generation, what in slots[: wire.FDS_LIMIT]:
                allowed = messages.READ if what == messages.WRITE and not peer.writable else what
                fd = self.catalog.open(slot, generation, allowed)
                found.append(fd is not None)
                if fd is not None:
                    opened.append(fd)
            peer.reply(messages.Fetched(found), opened)
        finally:
            wire.close_all(opened)

    def _wait(self, peer: Peer, names: list[str]) -> None:
        missing = [name for name in names if name not in self.catalog]
        if not missing:
            peer.reply(messages.Ready())
            return
        peer.withdraw = lambda: self._waits.cancel(peer)
        self._waits.wait(peer, missing, lambda: self._fulfil(peer, messages.Ready()))

    def _acquire(self, peer: Peer, request: messages.Acquire) -> None:
        if peer.process is None:
            return
        self._processes.watch(peer)
        holder = Holder(peer.process, request.thread)
        peer.withdraw = lambda: self._locks.cancel(request.name, holder)
        try:
            self._locks.acquire(
                request.name,
                request.shared,
                holder,
                lambda number: self._fulfil(peer, messages.Granted(number)),
            )
        except OnecopyError:
            peer.withdraw = None
            raise

    def _fulfil(self, peer: Peer, message: messages.Message) -> None:
        """Give a peer what it waited for."""
        peer.withdraw = None
        peer.reply(message)

    # ---- what happens to entries ----

    def _notify(self, kind: str, name: str) -> None:
        if kind == "saved":
            self._waits.saved(name)
        for peer in [each for each in self.peers if each.prefix is not None]:
            if name.startswith(peer.prefix or ""):
                peer.notify(messages.Event(kind, name))
        if not self._sweeping:
            self._sweeping = True
            self._loop.after(_SWEEP_SECONDS, self._sweep)

    def _sweep(self) -> None:
        self._sweeping = self.catalog.books.sweep()
        if self._sweeping:
            self._loop.after(_SWEEP_SECONDS, self._sweep)

    def stats(self) -> messages.StoreStats:
        """Return facts about the store."""
        books = self.catalog.books
        return messages.StoreStats(
            name=self._name,
            pid=os.getpid(),
            capacity=books.capacity,
            used=books.used,
            entries=len(self.catalog),
            lingering=books.lingering,
            reserved=books.reserved,
            evicted=self.catalog.evicted,
            expired=self._expiry.expired,
            clients=len(self.peers),
            started=self._started,
            directory=self._directory,
        )


def _catalog(
    capacity: int,
    fd_limit: int,
    notify: Callable[[str, str], None],
    group: bool,
    directory: Directory | None,
) -> Catalog:
    if directory is None:
        return Catalog(capacity, fd_limit, notify, group=group)
    # Imported here, because a store in memory does without.
    from onecopy.store.daemon.files import FileCatalog

    return FileCatalog(capacity, fd_limit, notify, group=group, directory=directory)


_DONE: Final = messages.Done()

_WRITES: Final = (
    messages.Save,
    messages.Reserve,
    messages.Remove,
    messages.Acquire,
    messages.Release,
)
