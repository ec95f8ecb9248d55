"""Finding and opening stores."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from onecopy.errors import OnecopyError, ProtocolError, StoreUnavailable
from onecopy.store import messages, wire
from onecopy.store.channel import Channel, Disconnected
from onecopy.store.runtime import Place, store_names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onecopy.store.client import Store
    from onecopy.store.messages import StoreStats

# A daemon answers in microseconds; on a machine that swaps, in a second.
PATIENCE = 3.0
_PATIENCE_WITH_OTHERS = 0.3


class Unresponsive(StoreUnavailable):
    """A daemon holds the store's socket, but does not answer."""


def open_store(name: str) -> Store:
    """Connect to a running store, or say at once why that cannot be."""
    from onecopy.store.launch import connect

    probe(name)
    return connect(name, timeout=0)


def probe(name: str, patience: float = PATIENCE) -> StoreStats:
    """Ask a store how it is; unlike a `Store`, it gives up soon.

    Raises:
        StoreUnavailable: no daemon listens.
        Unresponsive: one does, and did not answer within `patience` seconds.
    """
    try:
        return _ask(name, patience)
    except (FileNotFoundError, ConnectionRefusedError):
        raise _no_store(name) from None


def _ask(name: str, patience: float) -> StoreStats:
    try:
        sock = Place(name).connect()
        with contextlib.closing(Channel(sock)) as channel:
            sock.settimeout(patience)
            wire.close_all(channel.greet()[1])
            stats: StoreStats = channel.request(messages.GetStats()).stats
            return stats
    except (TimeoutError, BlockingIOError, StoreUnavailable, Disconnected):
        raise _unresponsive(name, patience) from None


def _no_store(name: str) -> StoreUnavailable:
    answering = answers(_PATIENCE_WITH_OTHERS)
    running = [other for other, stats in answering if other != name and stats is not None]
    there_is = f"; running here: {', '.join(running)}" if running else ""
    return StoreUnavailable(
        f"no store {name!r} is running{there_is}. Start it with `onecopy serve {name}`, or set "
        "ONECOPY_RUNTIME_DIR to where it was started"
    )


def _unresponsive(name: str, patience: float) -> Unresponsive:
    place = Place(name)
    try:
        pid = place.pid.read_text().strip()
    except OSError:
        pid = "unknown"
    return Unresponsive(
        f"the store {name!r} did not answer for {patience:g} s; is its daemon (process {pid}) "
        f"stopped? Continue it with `kill -CONT {pid}` or end it with `kill -KILL {pid}`; its log "
        f"is {place.log}"
    )


def answers(patience: float = PATIENCE) -> Iterator[tuple[str, StoreStats | None]]:
    """Yield the name and the answer of each store; None if its daemon does not give any.

    What dead daemons left behind is skipped.
    """
    for name in store_names():
        try:
            yield name, _ask(name, patience)
        except (Unresponsive, ProtocolError):
            yield name, None
        except (OnecopyError, OSError):
            continue
