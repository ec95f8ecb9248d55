"""Finding stores, among them dead and stopped ones."""

from __future__ import annotations

import os
import signal

import pytest

import onecopy
from onecopy import StoreUnavailable
from onecopy.cli.stores import Unresponsive, answers, open_store, probe
from onecopy.store.runtime import Place
from tests.conftest import open_files


def test_a_store_answers_a_probe(store: onecopy.Store) -> None:
    assert probe("test").pid == store.pid


def test_a_probe_leaves_no_descriptor(store: onecopy.Store) -> None:
    before = open_files()
    probe("test")
    assert open_files() == before


def test_a_stopped_daemon_is_told_from_a_missing_one(store: onecopy.Store) -> None:
    pid = store.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(Unresponsive, match=f"process {pid}"):
            probe("test", 0.05)
        assert list(answers(0.05)) == [("test", None)]
    finally:
        os.kill(pid, signal.SIGCONT)
    assert probe("test").pid == pid


def test_what_a_killed_daemon_left_is_no_store() -> None:
    place = Place("dead")
    place.create()
    place.bind().close()
    assert list(answers()) == []
    with pytest.raises(StoreUnavailable, match="onecopy serve dead"):
        probe("dead")


def test_a_missing_store_says_how_to_start_it() -> None:
    with pytest.raises(StoreUnavailable, match="onecopy serve missing"):
        open_store("missing")


def test_a_listener_that_speaks_nonsense_is_unresponsive() -> None:
    place = Place("strange")
    place.create()
    with place.bind(), pytest.raises(Unresponsive, match="unknown"):
        probe("strange", 0.05)
