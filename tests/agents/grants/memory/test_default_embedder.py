"""A store without an embedder; that one is saved is in tests/demo/agent/test_llm_server.py."""

from __future__ import annotations

from pathlib import Path

import pytest

import onecopy
from onecopy import InvalidArgument
from onecopy.agents.grants.memory import default_embedder
from onecopy.agents.grants.memory.default_embedder import ensure, is_in
from onecopy.agents.grants.memory.embedder import ENTRY
from onecopy.nn.backends.text.tokenizer import SUFFIX


@pytest.fixture
def store(tmp_path: Path):
    with onecopy.start(f"embedder-{tmp_path.name}", capacity="16MiB") as store:
        yield store


def test_one_that_is_there_is_left_as_it_is(store) -> None:
    store.save(ENTRY, "a model")
    assert not is_in(store)
    store.save(ENTRY + SUFFIX, "its tokenizer")
    ensure(store)
    assert store.load(ENTRY) == "a model"


def test_without_its_packages_it_says_what_to_install(store, monkeypatch) -> None:
    monkeypatch.setattr(default_embedder, "_PACKAGES", ("a_package_that_nobody_has",))
    with pytest.raises(InvalidArgument, match=r"pip install .* onecopy agent embedder embedder-"):
        ensure(store)


def test_why_it_could_not_be_saved_is_said_and_how_to_try_again(store, tmp_path, monkeypatch):
    # The process that saves it looks for the store where there is none.
    monkeypatch.setenv("ONECOPY_RUNTIME_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setattr(default_embedder, "_PACKAGES", ())
    with pytest.raises(InvalidArgument, match=f"onecopy agent embedder {store.name} tries") as no:
        ensure(store)
    assert "none could be saved: " in str(no.value)


def test_a_snapshot_has_to_be_made_with_one(store, tmp_path) -> None:
    store.save("a", 1)
    store.snapshot(tmp_path / "snapshot")
    with (
        onecopy.open(tmp_path / "snapshot") as snapshot,
        pytest.raises(InvalidArgument, match="onecopy agent embedder STORE"),
    ):
        ensure(snapshot)
