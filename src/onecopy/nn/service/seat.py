"""One connection in the process: its segment, what it asked for, what it is yet to get."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from onecopy.errors import InferenceFailed, InvalidArgument, OnecopyError, ProtocolError
from onecopy.nn.service.generation import Generation, options_of
from onecopy.nn.service.messages import Collect, Computed, Refused, Short
from onecopy.nn.service.segment import Segment, check_outputs, needed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from onecopy.nn.backends.backend import Array, TextModel
    from onecopy.nn.service.messages import Compute, Message, Prepare, Single
    from onecopy.store.daemon.peer import Peer

log = logging.getLogger("onecopy.nn")


class Seat:
    """A user of the model."""

    def __init__(self, peer: Peer, idle: float, config: str, model: TextModel | None) -> None:
        self.peer = peer
        self.idle = idle
        options = options_of(config)
        self.generation = None if model is None else Generation(model, options)
        self.inputs: list[Array] = []
        self.busy = False
        self._segment: Segment | None = None
        self._room = 0
        self._pending: tuple[Sequence[Array], tuple[str, ...], OnecopyError | None] | None = None

    def attach(self, request: Compute | Single | Prepare | Collect, fds: list[int]) -> None:
        """Take the segment that came along, or use the last one.

        Raises:
            InvalidArgument: it is not one that can be trusted, or not large enough.
        """
        if len(fds) > 1:
            raise InvalidArgument("more than one segment came along")
        if fds:
            self._segment = None
            self._segment = Segment(fds[0], request.nbytes)
        if self._segment is None:
            raise InvalidArgument("no segment came along")
        if not 0 <= request.room <= self._segment.nbytes:
            raise InvalidArgument("the room for outputs begins outside of the segment")
        self._room = request.room
        if not isinstance(request, Collect):
            self._pending = None

    def arrays(self, request: Compute) -> list[Array | None]:
        """Return the inputs of a request."""
        return self._mapped.arrays(request.inputs)

    def texts(self, request: Compute | Single | Prepare) -> tuple[bytes, bytes]:
        """Return prompt and options of a request; the options may be missing."""
        if not 1 <= len(request.inputs) <= 2 or request.inputs[0] is None:
            raise InvalidArgument("a text model has two inputs: a prompt, and options as JSON")
        read = [b"" if each is None else self._mapped.read(each) for each in request.inputs]
        return read[0], b"".join(read[1:])

    @property
    def _mapped(self) -> Segment:
        if self._segment is None:
            raise InvalidArgument("no segment came along")
        return self._segment

    def deliver(
        self,
        outputs: Sequence[Array],
        names: tuple[str, ...] = (),
        ended: OnecopyError | None = None,
    ) -> None:
        """Answer with outputs, their names, and why there are not more of them.

        Raises:
            LimitReached: they are more than can be handed over.
        """
        check_outputs(outputs)
        self.busy = False
        if not self._answer(outputs, names, ended):
            # They may lie in memory that the next request writes to.
            self._pending = ([each.copy() for each in outputs], names, ended)

    def deliver_text(self, text: bytes, ended: OnecopyError | None = None) -> None:
        """Answer with a text, and what may be asked about it."""
        import numpy as np

        assert self.generation is not None
        both = (text, self.generation.metadata())
        self.deliver([np.frombuffer(each, np.uint8) for each in both], ended=ended)

    def collect(self) -> None:
        """Answer with outputs that had no room."""
        if self._pending is None:
            raise ProtocolError("there are no outputs to collect")
        if self._answer(*self._pending):
            self._pending = None

    def _answer(
        self, outputs: Sequence[Array], names: tuple[str, ...], ended: OnecopyError | None
    ) -> bool:
        segment, nbytes = self._mapped, needed(outputs)
        if self._room + nbytes > segment.nbytes:
            self.peer.reply(Short(nbytes))
            return False
        placed = segment.put(outputs, self._room)
        refused = None if ended is None else Refused.of(ended)
        self.peer.reply(Computed(placed, names, refused))
        return True

    def refuse(self, error: OnecopyError) -> None:
        """Answer with an error."""
        self.busy = False
        self.peer.reply(Refused.of(error))

    def attempt(self, work: Callable[[], None]) -> None:
        """Do something for it; what goes wrong is answered to it, and harms no other."""
        try:
            work()
        except OnecopyError as error:
            self.refuse(error)
        except Exception as error:
            log.exception("a request failed")
            self.refuse(InferenceFailed(f"the model failed: {type(error).__name__}: {error}"))

    def answer(self, message: Message) -> None:
        """Answer with something else."""
        self.peer.reply(message)

    def finish(self) -> Any:
        """Forget the text that was begun."""
        if self.generation is not None:
            self.generation.forget()

    def close(self) -> None:
        """Let go of what it had."""
        if self.generation is not None:
            self.generation.close()
