"""`agent embedder`; that MiniLM is saved is in tests/demo/agent/test_llm_server.py."""

from __future__ import annotations

import pytest

import onecopy
from onecopy.agents.grants.memory import default_embedder
from onecopy.agents.grants.memory.embedder import ENTRY
from onecopy.nn.backends.text.tokenizer import SUFFIX
from tests.cli.commands import refused, run


@pytest.fixture
def store(tmp_path):
    with onecopy.start(f"embedder-{tmp_path.name}", capacity="16MiB") as store:
        yield store


def test_one_that_is_there_is_left_and_how_to_have_another_is_said(store):
    store.save(ENTRY, "a model")
    store.save(ENTRY + SUFFIX, "its tokenizer")
    assert f"onecopy rm {store.name} {ENTRY}" in run("agent", "embedder", store.name).stderr


def test_a_store_that_does_not_run_is_named():
    assert "onecopy serve" in refused("agent", "embedder", "nowhere")


def test_without_its_package_it_says_what_to_install(store, monkeypatch):
    monkeypatch.setattr(default_embedder, "_PACKAGES", ("a_package_that_nobody_has",))
    assert "pip install" in refused("agent", "embedder", store.name)


def test_a_folder_without_a_model_is_refused(store, tmp_path):
    said = refused("agent", "embedder", store.name, "--model", tmp_path)
    assert "config.json" in said
