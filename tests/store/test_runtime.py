from __future__ import annotations

import os
import threading
from functools import partial
from pathlib import Path

import pytest

import onecopy
from onecopy.errors import AccessDenied, StoreRunning
from onecopy.store.runtime import Place, runtime_dir, store_names


def test_the_runtime_directory_is_chosen_by_the_environment(monkeypatch) -> None:
    monkeypatch.setenv("ONECOPY_RUNTIME_DIR", "/chosen")
    assert runtime_dir() == Path("/chosen")
    monkeypatch.delenv("ONECOPY_RUNTIME_DIR")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/7")
    assert runtime_dir() == Path("/run/user/7/onecopy")
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert runtime_dir() == Path(f"/tmp/onecopy-{os.getuid()}")


@pytest.fixture
def place(runtime: Path) -> Place:
    place = Place("a")
    place.create()
    return place


def test_only_one_can_take_a_name(place: Place) -> None:
    lock = place.take()
    with pytest.raises(StoreRunning, match="choose another name"):
        place.take()
    os.close(lock)
    os.close(place.take())


def test_a_lock_that_its_owner_removes_meanwhile_is_taken_anew(place: Place) -> None:
    # Takers and removers race for a while: there must never be two who hold the current file.
    holders: list[int] = []
    most: list[int] = []

    def take_and_remove() -> None:
        for _ in range(200):
            try:
                lock = place.claim()
            except StoreRunning:
                continue
            holders.append(lock)
            most.append(len(holders))
            holders.remove(lock)
            place.remove()
            os.close(lock)

    threads = [threading.Thread(target=take_and_remove) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1


def test_remove_leaves_other_stores_alone(place: Place, runtime: Path) -> None:
    other = Place("b")
    other.create()
    place.remove()
    assert not place.folder.exists()
    assert other.folder.exists()


def test_a_stale_socket_is_replaced(place: Place) -> None:
    place.bind().close()
    with place.bind() as listener, place.connect():
        listener.accept()[0].close()


def test_a_file_in_the_place_of_the_directory_is_refused(runtime: Path) -> None:
    runtime.write_text("")
    with pytest.raises(AccessDenied):
        Place("a").create()


def test_a_file_where_the_runtime_directory_should_be_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("ONECOPY_RUNTIME_DIR", str(tmp_path / "file"))
    for use in (onecopy.start, partial(onecopy.connect, timeout=0)):
        with pytest.raises(AccessDenied, match=r"file is not a directory.*ONECOPY_RUNTIME_DIR"):
            use("test")
    with pytest.raises(AccessDenied, match="is not a directory"):
        Place("test", tmp_path / "file" / "below").create()


def test_stores_are_listed_by_their_sockets(place: Place) -> None:
    assert store_names() == []
    with place.bind():
        assert store_names() == ["a"]
