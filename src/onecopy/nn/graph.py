"""A loaded model as its users see it, and their contexts in it.

It is the same for a Python program and for the process that runs a guest.
"""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING, Any, Final

from onecopy.errors import BackendLost, InvalidArgument, ModelNotFound, ProtocolError
from onecopy.nn.backends.backend import Port
from onecopy.nn.service import messages
from onecopy.nn.service.messages import (
    Collect,
    Compute,
    Computed,
    Finish,
    Prepare,
    Refused,
    Short,
    Single,
)
from onecopy.nn.workspace import Workspace
from onecopy.store import wire

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator, Sequence

    from onecopy.nn.backends.backend import Array
    from onecopy.nn.service.messages import Message, Welcome

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
        while self._idle:
            self._idle.pop().close()

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

    def forsake(self) -> None:
        """Have nothing in a forked child, whose parent goes on with all of it."""
        self.close()


def _forsake_all() -> None:
    for graph in list(_graphs):
        graph.forsake()


os.register_at_fork(after_in_child=_forsake_all)


class Context:
    """Inputs of a model, and the outputs of the last computation; from `Graph.context`."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._sock: socket.socket | None = None
        self._space = Workspace()
        self._open = True
        self._anew = True
        self._told = False
        """Whether outputs are those of the inputs that are set."""
        self._text: bytearray | None = None
        self._names = tuple(each.name for each in graph.outputs)

    def set_input(
        self, index: int | str, dtype: str, shape: Sequence[int], data: bytes | memoryview
    ) -> None:
        """Copy an input's bytes; they stay until they are set again.

        Args:
            index: its number, or its name if the model has names.
            dtype: one of `standard.DTYPES`.
            shape: elements by dimension.
            data: the elements in row-major order.

        Raises:
            InvalidArgument: no such input, or the bytes are not that many elements.
        """
        self._check()
        self._space.put(
            _number(index, [each.name for each in self._graph.inputs], "input"), dtype, shape, data
        )
        self._anew = True
        self._told = False

    def keep_inputs(self, count: int) -> None:
        """Forget inputs beyond the first so many."""
        self._space.keep(count)

    def compute(self) -> None:
        """Compute all outputs from the inputs.

        Raises:
            InvalidArgument: an input is missing, or not what the model takes.
            InferenceFailed: the model refused their values, or failed.
            BackendLost: its process ended; the next computation starts it again.
            ContextFull, PromptTooLong: see `TextSession`; of a full context there is the text.
        """
        self._text = None
        self._anew = True
        space = self._ready()
        self._request(Compute(space.inputs(), space.room, space.nbytes))

    def compute_single(self) -> None:
        """Have a text model generate one more token; the first time, read the prompt before.

        Raises:
            EndOfSequence: the text has ended; the next call begins it again.
            ContextFull, PromptTooLong, InferenceFailed, BackendLost: as for `compute`.
        """
        space = self._ready()
        anew = self._anew or self._sock is None
        if anew or self._text is None:
            self._text = bytearray()
        self._anew = True  # unless all goes well
        self._request(Single(space.inputs(), space.room, space.nbytes, anew))
        self._text += space.views[0]
        self._anew = False

    def finish_single(self) -> None:
        """End a text that `compute_single` began."""
        self._check()
        self._anew, self._text = True, None
        self._space.forget_outputs()
        if self._sock is not None:
            self._request(Finish())

    @property
    def output_count(self) -> int:
        """How many outputs there are; 0 before the first computation."""
        return len(self._space.outputs)

    def output_port(self, index: int | str) -> Port:
        """Return type and shape of an output of the last computation."""
        number = self._output(index)
        if self._text is not None and number == 0:
            return Port("text", "u8", (len(self._text),))
        tensor, names = self._space.outputs[number], self._names
        name = names[number] if number < len(names) else str(number)
        return Port(name, tensor.dtype, tensor.shape)

    def output(self, index: int | str) -> memoryview:
        """Return the bytes of an output; read them before the next computation.

        After `compute_single`, output 0 is the text so far. Output 1 of a text model tells of the
        prompt as soon as it is set.

        Raises:
            InvalidArgument: there is none of that number or name.
        """
        self._prepare(index)
        number = self._output(index)
        if self._text is not None and number == 0:
            return memoryview(bytes(self._text))
        return self._space.views[number]

    def output_single(self, index: int | str) -> memoryview:
        """Return the text of the last token as output 0; the others are as for `output`."""
        self._prepare(index)
        return self._space.views[self._output(index)]

    def _prepare(self, index: int | str) -> None:
        """Have the prompt read if what may be asked about it is asked before any text is."""
        self._check()
        if self._told or self._graph.what != "text" or _number(index, self._names, "output") != 1:
            return
        self._text = None
        space = self._ready()
        self._request(Prepare(space.inputs(), space.room, space.nbytes))

    def _output(self, index: int | str) -> int:
        self._check()
        number = _number(index, self._names, "output")
        if not 0 <= number < len(self._space.views):
            raise InvalidArgument(
                f"no output {index!r}: there are {len(self._space.views)}, computed by compute()"
            )
        return number

    def close(self) -> None:
        """Let inputs and outputs go; twice is fine."""
        self._open = False
        self._space.close()
        sock, self._sock = self._sock, None
        if sock is not None:
            self._graph.give_back(sock)

    def __enter__(self) -> Context:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if "_open" in self.__dict__:
            self.close()

    def _check(self) -> None:
        if not self._open:
            raise InvalidArgument("this context was closed; open another with Graph.context()")

    def _ready(self) -> Workspace:
        """Have room for as many bytes of outputs as there were the last time."""
        self._check()
        space = self._space
        space.make_room(space.expected)
        return space

    def _request(self, message: Message) -> None:
        """Have something done, on a connection that is made anew if the last one is lost."""
        if self._sock is None:
            self._sock = self._graph.connection()
            self._space.fresh = True
        try:
            reply = self._exchange(message)
            while isinstance(reply, Short):
                self._space.make_room(reply.nbytes)
                reply = self._exchange(Collect(self._space.room, self._space.nbytes))
            if isinstance(reply, Computed):
                self._told = True
                self._space.take(reply.outputs)
                self._names = reply.names or self._names
        except BaseException:
            # Also if somebody interrupted us: an answer may be due on it.
            self._drop()
            raise
        if isinstance(reply, Computed):
            reply = reply.ended
        if isinstance(reply, Refused):
            raise reply.to_error()

    def _exchange(self, message: Message) -> Any:
        assert self._sock is not None
        fds = (self._space.fd,) if self._space.fresh and not isinstance(message, Finish) else ()
        try:
            wire.send(self._sock, messages.encode(message), fds)
            data, received = wire.receive(self._sock)
        except (BrokenPipeError, ConnectionResetError):
            data, received = b"", []
        wire.close_all(received)
        if not data:
            raise BackendLost(
                f"the process for model {self._graph.name!r} ended in the middle of a request; the "
                "next one starts it again"
            )
        if fds:
            self._space.fresh = False
        return _checked(messages.decode_reply(data), message)

    def _drop(self) -> None:
        sock, self._sock = self._sock, None
        self._anew = True
        if sock is not None:
            sock.close()


def _checked(reply: Any, message: Message) -> Any:
    """Return a reply if it is one to that message."""
    kinds = (messages.Done,) if isinstance(message, Finish) else (Computed, Short)
    if not isinstance(reply, (Refused, *kinds)) or (
        isinstance(reply, Short) and isinstance(message, Collect)
    ):
        raise ProtocolError(f"{type(reply).__name__} does not answer {type(message).__name__}")
    return reply


def _number(index: int | str, names: Sequence[str], what: str) -> int:
    """Return the number of an input or output by its number or name."""
    if isinstance(index, int):
        if names and not 0 <= index < len(names):
            raise InvalidArgument(f"no {what} {index}: the model has {len(names)}")
        return index
    if index not in names:
        raise InvalidArgument(f"no {what} {index!r}: the model has {list(names)}")
    return names.index(index)
