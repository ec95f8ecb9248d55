"""A loaded model as its users see it.

It is the same for a Python program and for the process that runs a guest.
"""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING, Any, Final

from onecopy.errors import InvalidArgument, ModelNotFound
from onecopy.nn.context import Context

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator, Sequence

    from onecopy.nn.backends.backend import Array, Port
    from onecopy.nn.service.messages import Welcome

    Opener = Callable[[], tuple[socket.socket, Welcome]]

_graphs: Final[weakref.WeakSet[Graph]] = weakref.WeakSet()


class Graph:
    """A model that is loaded, somewhere on this host; get one from `Host.load`.

    Its contexts may be used by different threads, each by one at a time.
    """

    def __init__(self, name: str, connect: Opener) -> None:
        self.name = name
        self._connect = connect
        self._contexts: weakref.WeakSet[Context] = weakref.WeakSet()
        self._spare: list[Context] = []
        self._open = True
        sock, welcome = connect()
        self._idle = [sock]
        self._welcome = welcome
        self.inputs: tuple[Port, ...] = tuple(welcome.inputs)
        """What it takes; empty if the model does not say."""
        self.outputs: tuple[Port, ...] = tuple(welcome.outputs)
        """What it returns; empty if the model does not say."""
        self.what: str = welcome.what
        """`"tensors"`, or `"text"` for a model that continues text."""
        _graphs.add(self)

    def context(self) -> Context:
        """Return a new context: inputs, and what was computed from them."""
        self._check()
        context = Context(self)
        self._contexts.add(context)
        return context

    def run(self, inputs: Sequence[Any]) -> list[Array]:
        """Compute all outputs from arrays, or from tensors on the CPU, in the model's order.

        Raises:
            InvalidArgument: the model does not take them.
            InferenceFailed: it refused their values, or failed; `BackendLost` if its process ended.
        """
        from onecopy.nn import arrays

        context = self._spare.pop() if self._spare else self.context()
        try:
            arrays.put(context, inputs)
            context.compute()
            return arrays.take(context)
        finally:
            if self._open:
                self._spare.append(context)

    def stream(self, prompt: str, options: str = "") -> Iterator[bytes]:
        """Yield the text that a text model continues a prompt with, token by token.

        Args:
            prompt: the text.
            options: a JSON object, as guests give it.
        """
        from onecopy.errors import EndOfSequence

        context = self.context()
        try:
            for index, text in enumerate((prompt, options) if options else (prompt,)):
                data = text.encode()
                context.set_input(index, "u8", (len(data),), data)
            while True:
                try:
                    context.compute_single()
                except EndOfSequence:
                    return
                yield bytes(context.output_single(0))
        finally:
            context.close()

    def close(self) -> None:
        """Let the model go; its process ends some time after its last user has left."""
        self._open = False
        for context in [*self._contexts, *self._spare]:
            context.close()
        self._spare.clear()
        self.forget_idle()

    def __enter__(self) -> Graph:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if "_idle" in self.__dict__:
            self.close()

    def __repr__(self) -> str:
        return f"<Graph {self.name!r}{'' if self._open else ' (closed)'}>"

    def _check(self) -> None:
        if not self._open:
            raise InvalidArgument(f"model {self.name!r} was closed here; load it again")

    def connection(self) -> socket.socket:
        """Return a connection of nobody's; for contexts.

        Raises:
            ModelNotFound: the model is another one by now, or gone.
        """
        self._check()
        try:
            return self._idle.pop()
        except IndexError:
            pass
        sock, welcome = self._connect()
        if (welcome.what, welcome.inputs, welcome.outputs) != (
            self.what,
            list(self.inputs),
            list(self.outputs),
        ):
            sock.close()
            raise ModelNotFound(f"model {self.name!r} was replaced by another one; load it again")
        return sock

    def give_back(self, sock: socket.socket) -> None:
        """Keep a connection on which no answer is due."""
        if self._open:
            self._idle.append(sock)
        else:
            sock.close()

    def forget_idle(self) -> None:
        """Close connections that nobody uses."""
        while self._idle:
            self._idle.pop().close()

    def forsake(self) -> None:
        """Have nothing in a forked child, whose parent goes on with all of it."""
        self.close()


def _forsake_all() -> None:
    for graph in list(_graphs):
        graph.forsake()


os.register_at_fork(after_in_child=_forsake_all)
