"""Texts of several connections at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from onecopy.errors import EndOfSequence
from onecopy.nn.service.messages import Compute, Computed, Refused
from onecopy.nn.service.texts import Texts
from onecopy.store.daemon.loop import Loop
from tests.nn.arithmetic import Conversation, Counting
from tests.nn.service.user import NBYTES, Client


@pytest.fixture
def users() -> Iterator[Callable[..., Client]]:
    made: list[Client] = []

    def make(**options: int) -> Client:
        made.append(Client(Counting(**options)))
        made[-1].seat.attach(Compute([], 0, NBYTES), [made[-1].segment()])
        return made[-1]

    yield make
    for each in made:
        each.close()


def text(user: Client) -> bytes:
    """What a user was answered."""
    reply = user.answer()
    assert isinstance(reply, Computed)
    return os.pread(user.fds[-1], reply.outputs[0].nbytes, reply.outputs[0].offset)


def answered(user: Client) -> bool:
    return not user.seat.busy


def test_texts_take_turns_of_one_token(users) -> None:
    texts, short, long = Texts(Loop(), apart=False), users(length=1), users(length=3)
    for user in (long, short):
        texts.begin(user.seat, (b"n", b""))
    turns = []
    while texts.unfinished:
        texts.take_turns()
        turns.append((answered(short), answered(long)))
    # The turn in which a model says that it has ended is one more.
    assert turns == [(False, False), (True, False), (True, False), (True, True)]
    assert (text(short), text(long)) == (b"n1 ", b"n1 n2 n3 ")


def test_a_text_whose_connection_has_gone_is_not_gone_on_with(users) -> None:
    texts, gone = Texts(Loop(), apart=False), users(length=1000)
    texts.begin(gone.seat, (b"n", b""))
    texts.leave(gone.seat)
    assert not texts.unfinished


def test_a_failure_is_told_to_who_asked_and_to_nobody_else(users, monkeypatch) -> None:
    texts, failing, other = Texts(Loop(), apart=False), users(), users(length=1)
    for user in (failing, other):
        texts.begin(user.seat, (b"n", b""))

    def fail() -> bytes:
        raise ZeroDivisionError("no")

    monkeypatch.setattr(failing.seat.generation._session, "advance", fail)
    while texts.unfinished:
        texts.take_turns()
    assert "ZeroDivisionError" in failing.answer().text
    assert text(other) == b"n1 "


@pytest.mark.parametrize("apart", [False, True])
def test_tokens_are_told_one_by_one_until_there_is_none(users, monkeypatch, apart: bool) -> None:
    user = users(length=2)
    deliver = user.seat.deliver_text

    def ask(anew: bool) -> Computed:
        loop = Loop()
        monkeypatch.setattr(user.seat, "deliver_text", lambda *text: (deliver(*text), loop.stop()))
        Texts(loop, apart=apart).advance(user.seat, (b"n", b"") if anew else None)
        loop.run()
        reply = user.answer()
        assert isinstance(reply, Computed)
        return reply

    told = [ask(True), ask(False), ask(False)]
    assert [each.ended for each in told[:2]] == [None, None]
    assert told[2].ended == Refused.of(EndOfSequence("counted"))


def test_who_leaves_while_a_thread_works_is_closed_when_that_is_done(users, monkeypatch) -> None:
    loop = Loop()
    texts, user = Texts(loop, apart=True), users(length=3)
    closed: list[bool] = []
    monkeypatch.setattr(Conversation, "close", lambda _: (closed.append(True), loop.stop()))
    texts.begin(user.seat, (b"n", b""))
    user.peer.close()
    texts.leave(user.seat)
    assert not closed
    loop.run()
    assert closed == [True]
