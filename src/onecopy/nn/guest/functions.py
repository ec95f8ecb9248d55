"""The functions of `wasi_ephemeral_nn` for one guest.

Each gets the numbers that the guest gave, unsigned and unchecked, and answers with an error's
number. A guest can pass anything: so all addresses are checked by `LinearMemory`, which computes in
integers that do not wrap around, and where a result goes is checked before there is one.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from onecopy.errors import InvalidArgument
from onecopy.nn.guest.echo import Echo
from onecopy.nn.guest.handles import Handles
from onecopy.nn.guest.refusals import Refused, errno_of
from onecopy.nn.guest.tensors import read_tensor, read_text
from onecopy.nn.standard import Encoding, Errno, Target

if TYPE_CHECKING:
    from collections.abc import Callable

    from onecopy.guests.wasm.memory import LinearMemory
    from onecopy.nn.guest.loader import Context, Graph, Loader

    Report = Callable[[str, Errno, BaseException], object]

MOST_BUILDERS: Final = 16
NAME_NBYTES: Final = 1024
CONFIG_NBYTES: Final = 1 << 16
OPTIONS: Final = 1
"""The input of a text model that has options for its prompt."""
_PAIR: Final = struct.Struct("<II")
_WORD: Final = struct.Struct("<I")


class Functions:
    """What the imports of one guest do; `attach` its memory before it runs."""

    def __init__(self, loader: Loader, report: Report) -> None:
        self._loader = loader
        self._report = report
        self._handles = Handles()
        self._echo = Echo()
        self._attached: LinearMemory | None = None
        self._limit = 0
        self._brought: dict[int, int] = {}

    def attach(self, memory: LinearMemory, limit: int) -> None:
        """Learn where the guest's memory is, and how many bytes of models it may bring."""
        self._attached = memory
        self._limit = limit

    def function(self, name: str) -> Callable[..., int]:
        """Return what an import does; what it raises was foreseen by nobody."""
        method: Callable[..., None] = getattr(self, name)

        def call(*arguments: int) -> int:
            try:
                method(*arguments)
            except Exception as error:
                errno = errno_of(error)
                if errno is None:
                    raise
                self._report(name, errno, error)
                return int(errno)
            return 0

        return call

    @property
    def _memory(self) -> LinearMemory:
        if self._attached is None:
            raise Refused(Errno.MISSING_MEMORY, "the guest's memory is not there yet")
        return self._attached

    def load(self, builders: int, count: int, encoding: int, target: int, result: int) -> None:
        """Load a model that the guest has in its memory, in one part or several."""
        out = self._memory.view(result, _WORD.size)
        parts = self._parts(builders, count)
        names = _encoding(encoding), _target(target)
        self._handles.check_room_for_graph()
        nbytes = sum(each.nbytes for each in parts)
        if nbytes + sum(self._brought.values()) > self._limit:
            raise Refused(
                Errno.TOO_LARGE,
                f"the guest has brought models of more than {self._limit} bytes; unload some, or "
                "raise memory_limit",
            )
        self._brought[self._publish(out, self._loader.load_bytes(parts, *names))] = nbytes

    def _parts(self, builders: int, count: int) -> list[memoryview]:
        if not 0 < count <= MOST_BUILDERS:
            raise InvalidArgument(f"a model in {count} parts; 1 to {MOST_BUILDERS} are taken")
        pairs = list(_PAIR.iter_unpack(self._memory.read(builders, _PAIR.size * count)))
        # Parts may overlap: together they could be far more than the guest has.
        if sum(nbytes for _, nbytes in pairs) > self._memory.nbytes:
            raise Refused(Errno.TOO_LARGE, "the parts of a model are longer than the memory")
        return [self._memory.view(*pair).toreadonly() for pair in pairs]

    def load_by_name(self, name: int, length: int, result: int) -> None:
        """Load a model that the host knows."""
        self.load_by_name_with_config(name, length, 0, 0, result)

    def load_by_name_with_config(
        self, name: int, length: int, config: int, config_length: int, result: int
    ) -> None:
        """Load a model that the host knows, with options for it as JSON."""
        out = self._memory.view(result, _WORD.size)
        known_as = self._text(name, length, NAME_NBYTES)
        options = self._text(config, config_length, CONFIG_NBYTES)
        self._handles.check_room_for_graph()
        self._echo.note(self._publish(out, self._loader.load(known_as, options)), options)

    def _text(self, address: int, nbytes: int, limit: int) -> str:
        if nbytes > limit:
            raise Refused(Errno.TOO_LARGE, f"a text of {nbytes} bytes; at most {limit} are taken")
        try:
            return self._memory.read(address, nbytes).decode()
        except UnicodeDecodeError:
            raise InvalidArgument("a text that is not UTF-8") from None

    def _publish(self, out: memoryview, graph: Graph) -> int:
        handle = self._handles.add_graph(graph)
        _WORD.pack_into(out, 0, handle)
        return handle

    def init_execution_context(self, graph: int, result: int) -> None:
        """Make a context of a graph."""
        out = self._memory.view(result, _WORD.size)
        found = self._handles.graph(graph)
        self._handles.check_room_for_context()
        context = self._handles.add_context(found.context(), graph)
        self._echo.inherit(context, graph)
        _WORD.pack_into(out, 0, context)

    def set_input(self, context: int, index: int, tensor: int) -> None:
        """Copy a tensor out of the guest's memory."""
        found, graph = self._handles.context(context)
        is_text = graph.what == "text"
        dtype, shape, data = (read_text if is_text else read_tensor)(self._memory, tensor)
        found.set_input(index, dtype, shape, data)
        if is_text and index == OPTIONS:
            self._echo.note(context, data)

    def compute(self, context: int) -> None:
        """Compute all outputs of a context."""
        self._echo.compute(context, self._handles.context(context)[0])

    def get_output(self, context: int, index: int, buffer: int, room: int, written: int) -> None:
        """Copy an output into the guest's memory, all of it or nothing."""
        found = self._handles.context(context)[0]
        self._hand_over(lambda: found.output(index), buffer, room, written)

    def _hand_over(
        self, output: Callable[[], memoryview], buffer: int, room: int, written: int
    ) -> None:
        out = self._memory.view(buffer, room)
        length = self._memory.view(written, _WORD.size)
        data = output()
        if data.nbytes > room:
            raise Refused(
                Errno.TOO_LARGE, f"an output of {data.nbytes} bytes for a buffer of {room}"
            )
        out[: data.nbytes] = data.cast("B")
        _WORD.pack_into(length, 0, data.nbytes)

    def compute_single(self, context: int) -> None:
        """Compute the next token of a text."""
        self._text_context(context).compute_single()

    def _text_context(self, context: int) -> Context:
        found, graph = self._handles.context(context)
        if graph.what != "text":
            raise Refused(Errno.UNSUPPORTED_OPERATION, "only text models compute token by token")
        return found

    def get_output_single(
        self, context: int, index: int, buffer: int, room: int, written: int
    ) -> None:
        """Copy the last token into the guest's memory."""
        found = self._text_context(context)
        self._hand_over(lambda: found.output_single(index), buffer, room, written)

    def fini_single(self, context: int) -> None:
        """End a text that was computed token by token."""
        self._text_context(context).finish_single()

    def unload(self, graph: int) -> None:
        """End a graph and its contexts."""
        self._echo.forget(self._handles.remove_graph(graph))
        self._brought.pop(graph, None)


def _encoding(number: int) -> str:
    try:
        return Encoding(number).name.lower()
    except ValueError:
        raise Refused(Errno.INVALID_ENCODING, f"encoding {number} is not known") from None


def _target(number: int) -> str:
    try:
        return Target(number).name.lower()
    except ValueError:
        raise InvalidArgument(f"execution target {number} is not known") from None
