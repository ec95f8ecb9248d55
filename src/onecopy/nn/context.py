"""A context of a model: inputs, and what was computed from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onecopy.errors import InvalidArgument
from onecopy.nn.backends.backend import Port
from onecopy.nn.line import Line
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

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onecopy.nn.graph import Graph
    from onecopy.nn.service.messages import Message


class Context:
    """Inputs of a model, and the outputs of the last computation; from `Graph.context`."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._space = Workspace()
        self._line = Line(graph, self._space)
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
            BackendLost: its process ended meanwhile; the next computation starts it again.
            LimitReached: the outputs are more than can be handed over (64 tensors, 16 dimensions,
                8 GiB).
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
        anew = self._anew or not self._line.connected
        if anew or self._text is None:
            self._text = bytearray()
        self._anew = True  # unless all goes well
        single = Single(space.inputs(), space.room, space.nbytes, anew)
        self._request(single, goes_on=not anew)
        self._text += space.views[0]
        self._anew = False

    def finish_single(self) -> None:
        """End a text that `compute_single` began."""
        self._check()
        self._anew, self._text = True, None
        self._space.forget_outputs()
        if self._line.connected:
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
        self._line.give_back()

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

    def _request(self, message: Message, *, goes_on: bool = False) -> None:
        """Have something done, and take what comes of it."""
        reply = self._line.ask(message, goes_on=goes_on)
        try:
            while isinstance(reply, Short):
                self._space.make_room(reply.nbytes)
                collect = Collect(self._space.room, self._space.nbytes)
                reply = self._line.ask(collect, goes_on=True)
            if isinstance(reply, Computed):
                self._told = True
                self._space.take(reply.outputs)
                self._names = reply.names or self._names
        except BaseException:
            self._line.drop()  # What it says, or did not yet say, is of no use.
            raise
        if isinstance(reply, Computed):
            reply = reply.ended
        if isinstance(reply, Refused):
            raise reply.to_error()


def _number(index: int | str, names: Sequence[str], what: str) -> int:
    """Return the number of an input or output by its number or name."""
    if isinstance(index, int):
        if names and not 0 <= index < len(names):
            raise InvalidArgument(f"no {what} {index}: the model has {len(names)}")
        return index
    if index not in names:
        raise InvalidArgument(f"no {what} {index!r}: the model has {list(names)}")
    return names.index(index)
