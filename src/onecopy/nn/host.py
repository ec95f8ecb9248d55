"""A host: the models that its guests, or this program, may use."""

from __future__ import annotations

import threading
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import msgspec

from onecopy.errors import AccessDenied, InvalidArgument, ModelNotFound
from onecopy.nn.foreign import Brought
from onecopy.nn.graph import Graph
from onecopy.nn.model import Model, as_model
from onecopy.nn.service.connector import Connector
from onecopy.nn.service.generation import options_of
from onecopy.nn.service.identity import identity
from onecopy.nn.service.launch import Wanted
from onecopy.nn.service.running import running
from onecopy.nn.standard import Target

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from onecopy.nn.guest.invocation import Folders, Stream
    from onecopy.nn.guest.running import Guests
    from onecopy.nn.service.running import Loaded
    from onecopy.store.client import Store
    from onecopy.store.snapshot import Snapshot

IDLE_SECONDS: Final = 60.0
TARGETS: Final = tuple(each.name.lower() for each in Target)


class Host:
    """Models by name; each is loaded once for all hosts of this user, by a process of its own.

        >>> import onecopy, torch
        >>> from onecopy.nn import Host
        >>> with onecopy.start("models", capacity="64MiB") as store:
        ...     store.save_module("twice", torch.nn.Linear(2, 1))
        ...     with Host({"tiny": "twice"}, store=store) as host, host.load("tiny") as graph:
        ...         graph.run([torch.ones(1, 2)])[0].shape
        (1, 1)

    Args:
        models: what each name stands for: a `Model`, text that `Model.parse` takes, or a path.
        store: where entries are: a store, or a snapshot.
        guests_may_load: whether guests may bring models of their own as bytes.
        idle_seconds: how long the process of a model stays when its last user has left.
    """

    def __init__(
        self,
        models: Mapping[str, Model | str | os.PathLike[str]],
        *,
        store: Store | Snapshot | None = None,
        guests_may_load: bool = True,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        self._models = {name: as_model(each) for name, each in models.items()}
        self._store = store
        self._guests_may_load = guests_may_load
        self._idle_seconds = idle_seconds
        self._graphs: weakref.WeakSet[Graph] = weakref.WeakSet()
        self._guests: Guests | None = None
        self._making_guests = threading.Lock()
        self.asked_first: tuple[str, str] | None = None
        """The model, and its options, that the last guest asked for first."""

    def load(self, name: str, config: str = "") -> Graph:
        """Load a model, or find it loaded.

        Args:
            name: one of the host's models.
            config: options for text models, as a JSON object.

        Raises:
            ModelNotFound: there is no such model, or what it stands for is gone.
            InvalidModel, BackendMissing: it cannot be run.
            BackendLost: its process ended while it loaded.
        """
        return self._keep(Graph(name, self.connector(name, config)))

    def load_bytes(
        self, builders: Sequence[bytes | memoryview], encoding: str, target: str = "cpu"
    ) -> Graph:
        """Load a model that a guest brought; it is run by a process that is closed off.

        Args:
            builders: its parts, in the order that the encoding has.
            encoding: the name of one of `standard.Encoding`, in lower case.
            target: where it should run; only a wish.

        Raises:
            AccessDenied: this host takes no models of guests.
            InvalidModel, BackendMissing: it cannot be run.
        """
        self.check_bytes(target)
        brought = Brought.of(builders)
        return self._keep(Graph(brought.name, self.connector_of_bytes(brought, encoding)))

    def _keep(self, graph: Graph) -> Graph:
        self._graphs.add(graph)
        return graph

    def check_bytes(self, target: str = "cpu") -> None:
        """Raise an error if no guest may bring a model, or not for that target.

        Raises:
            AccessDenied, InvalidArgument: the host says no; there is no such target.
        """
        if target not in TARGETS:
            raise InvalidArgument(f"no target {target!r}; there are {', '.join(TARGETS)}")
        if not self._guests_may_load:
            raise AccessDenied(
                "this host takes no models of guests: load one by its name, or create the host "
                "with guests_may_load=True"
            )

    def connector(self, name: str, config: str = "") -> Connector:
        """Return what connects to the process of a model; for graphs, and for guests."""
        return Connector(partial(self._wanted, name, config), self._live_store)

    def _wanted(self, name: str, config: str) -> Wanted:
        model = self._models.get(name)
        if model is None:
            known = ", ".join(sorted(self._models)) or "none"
            raise ModelNotFound(f"no model {name!r} was given to this host; there are: {known}")
        options_of(config)
        return Wanted(
            source=model.source(self._store), name=name, config=config, idle=self._idle_seconds
        )

    def connector_of_bytes(self, brought: Brought, encoding: str) -> Connector:
        """Return what connects to the process of a model that a guest brought."""
        self.check_bytes()
        return Connector(partial(brought.wanted, encoding, self._idle_seconds))

    @property
    def _live_store(self) -> Store | None:
        return None if hasattr(self._store, "path") else self._store

    def models(self) -> list[Loaded]:
        """Return those of this host's models that are loaded right now."""
        found = {each.key: each for each in running()}
        keys = {name: self._key(model) for name, model in self._models.items()}
        return [
            msgspec.structs.replace(found[key], name=name)
            for name, key in keys.items()
            if key in found
        ]

    def _key(self, model: Model) -> str:
        try:
            return identity(model.source(self._store), self._live_store)
        except ModelNotFound:
            return ""

    def run(
        self,
        guest: bytes | os.PathLike[str] | str,
        *,
        args: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        dirs: Folders | None = None,
        stdin: Stream = None,
        stdout: Stream = None,
        stderr: Stream = None,
        timeout: float | None = None,
        memory_limit: int = 1 << 30,
        windows: Mapping[str, Any] | None = None,
    ) -> int:
        """Run a command of WASI to its end, in a process of its own, and return its exit status.

        It has preview 1 of WASI, `wasi_ephemeral_nn` with this host's models, and nothing else.

            host.run("guest.wasm", args=["image.jpg"], dirs={".": ("images", "ro")}, timeout=60)

        Args:
            guest: Wasm, or the path of a file of it.
            args: after the guest's own name.
            env: its environment; nothing of this process's is in it.
            dirs: what the guest sees as each name: a folder, or `(folder, "ro")` if the guest may
                only read there.
            stdin, stdout, stderr: descriptors, open files or `subprocess.DEVNULL`; this process's
                if not given.
            timeout: seconds after which it is ended.
            memory_limit: bytes of its linear memory, up to 4 GiB; windows come on top.
            windows: tensors that it sees in its memory, by names: as for `guests.Guest`, but
                immutable ones only. It imports `control` of `onecopy` to find them.

        Raises:
            InvalidModule: it is no command, or imports what this host does not have.
            WindowRefused: a value cannot be a window of it; the text has the remedy.
            GuestTrapped, GuestTimeout, GuestMemoryExceeded: how it ended, if not by itself.
            WorkerLost: somebody else ended its process.
            InvalidArgument, OSError: something cannot be given to it.
        """
        return self._runner().run(
            guest,
            args=args,
            env=env,
            dirs=dirs,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            timeout=timeout,
            memory_limit=memory_limit,
            windows=windows,
        )

    def _runner(self) -> Guests:
        from onecopy.nn import desk
        from onecopy.nn.guest.running import Guests

        with self._making_guests:
            if self._guests is None:
                self._guests = Guests(lambda models: desk.serve(models, self))
            return self._guests

    def close(self) -> None:
        """Close the graphs that are still open; twice is fine."""
        if self._guests is not None:
            self._guests.close()
        for graph in list(self._graphs):
            graph.close()

    def __enter__(self) -> Host:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
