"""Texts that connections wait for: in turns of a token, or in threads if models mostly wait."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from onecopy.errors import OnecopyError
from onecopy.nn.service.aside import Aside

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from onecopy.nn.service.generation import Generation
    from onecopy.nn.service.seat import Seat
    from onecopy.store.daemon.loop import Loop

    Text = tuple[bytes, OnecopyError | None]


class Texts:
    """Those of one text model; `apart` has a thread work for each connection."""

    def __init__(self, loop: Loop, *, apart: bool) -> None:
        self._aside = Aside(loop) if apart else None
        self._writing: list[Seat] = []
        self._elsewhere: set[Seat] = set()
        """Those for whom a thread works."""

    @property
    def unfinished(self) -> bool:
        """Whether there are turns to take."""
        return bool(self._writing)

    def begin(self, seat: Seat, texts: tuple[bytes, bytes]) -> None:
        """Begin a whole text, of a prompt and options; its connection gets it when it is done."""
        if self._aside is not None:
            self._do_elsewhere(seat, self._aside, partial(_whole, seat, texts))
            return
        _generation(seat).begin(*texts)
        self._writing.append(seat)
        seat.busy = True

    def advance(self, seat: Seat, texts: tuple[bytes, bytes] | None) -> None:
        """Answer with one more token, of a new text if there is one."""
        if self._aside is not None:
            self._do_elsewhere(seat, self._aside, partial(_next, _generation(seat), texts))
        else:
            seat.deliver_text(*_next(_generation(seat), texts))

    def take_turns(self) -> None:
        """Generate a token of each text, and answer with those that are done."""
        for seat in list(self._writing):
            seat.attempt(partial(_turn, seat))
        self._writing = [each for each in self._writing if each.busy and each.peer.open]

    def leave(self, seat: Seat) -> None:
        """Close a connection's text, now or when the thread is done that works for it."""
        if seat not in self._elsewhere:
            seat.close()
        self._writing = [each for each in self._writing if each is not seat]

    def _do_elsewhere(self, seat: Seat, aside: Aside, work: Callable[[], Text]) -> None:
        """Have a thread work for a connection, and answer with the text that it returns."""
        seat.busy = True
        self._elsewhere.add(seat)
        future = aside.run(work)
        aside.when_done(future, lambda: self._answer_with(seat, future))

    def _answer_with(self, seat: Seat, future: Future[Text]) -> None:
        self._elsewhere.discard(seat)
        if seat.peer.open:
            seat.attempt(lambda: seat.deliver_text(*future.result()))
        else:
            seat.close()


def _generation(seat: Seat) -> Generation:
    generation = seat.generation
    assert generation is not None
    return generation


def _whole(seat: Seat, texts: tuple[bytes, bytes]) -> Text:
    """Generate a whole text in one go, while there is somebody who wants it."""
    generation = _generation(seat)
    generation.begin(*texts)
    while not generation.done and seat.peer.open:
        generation.step()
    return bytes(generation.text), generation.ended


def _next(generation: Generation, texts: tuple[bytes, bytes] | None) -> Text:
    """Generate one more token, of a new text if there is one."""
    if texts is not None:
        generation.begin(*texts)
    try:
        return generation.advance(), None
    except OnecopyError as error:
        return b"", error


def _turn(seat: Seat) -> None:
    generation = _generation(seat)
    if not generation.done:
        generation.step()
    if generation.done:
        seat.deliver_text(bytes(generation.text), generation.ended)
