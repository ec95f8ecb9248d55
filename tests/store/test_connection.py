from __future__ import annotations

import pytest

import onecopy
from onecopy import Store, StoreClosed, StoreUnavailable
from onecopy.store import messages
from onecopy.store.connection import Connection
from onecopy.store.deadline import Deadline
from onecopy.store.runtime import Place


@pytest.fixture
def connection(store: Store, direct: bool):
    connection = Connection(Place("test"), direct, Deadline(5))
    yield connection
    connection.close()


def test_a_session_is_kept_while_its_daemon_lives(connection: Connection) -> None:
    session = connection.live()
    assert connection.live() is session
    assert connection.live_loader() == (session, connection.loader)


def test_a_dropped_session_is_followed_by_another_one(connection: Connection) -> None:
    session = connection.live()
    connection.drop()
    assert connection.ask(messages.GetStats()).stats.entries == 0
    assert connection.live() is not session
    assert connection.incarnation() == session.incarnation


def test_the_daemon_s_successor_is_found_and_told_apart(direct: bool) -> None:
    with onecopy.start("test", direct=direct):
        connection = Connection(Place("test"), direct, Deadline(5))
        first = connection.incarnation()
    with onecopy.start("test", direct=direct):
        assert connection.ask(messages.GetStats()).stats.entries == 0
        assert connection.incarnation() != first
        connection.close()


def test_a_store_that_is_gone_is_said_to_be(direct: bool) -> None:
    with onecopy.start("test", direct=direct):
        connection = Connection(Place("test"), direct, Deadline(5))
    with pytest.raises(StoreUnavailable, match="onecopy serve"):
        connection.ask(messages.GetStats())
    connection.close()


def test_where_nobody_answers_it_says_how_to_start_a_store() -> None:
    with pytest.raises(StoreUnavailable, match="onecopy serve nobody"):
        Connection(Place("nobody"), None, Deadline(0))


def test_a_closed_one_makes_no_new_session(connection: Connection) -> None:
    connection.close()
    connection.close()
    assert connection.closed
    with pytest.raises(StoreClosed, match="connect again"):
        connection.live()


def test_a_wait_in_vain_has_no_reply(connection: Connection) -> None:
    reply, incarnation = connection.wait(messages.Wait(["never"]), Deadline(0.01))
    assert reply is None
    assert incarnation == connection.incarnation()


def test_an_error_of_the_system_that_is_no_lost_daemon_goes_to_the_caller(
    connection: Connection,
) -> None:
    def fail(_channel: object) -> None:
        raise PermissionError(13, "not yours")

    with pytest.raises(PermissionError):
        connection.use(fail)
