from __future__ import annotations

from pathlib import Path

import pytest

import onecopy
from onecopy import EntryNotFound, InvalidArgument, InvalidModel, nn

pytest.importorskip("transformers")

from onecopy.nn.backends.text.tokenizer import load_tokenizer, tokenizer_for
from tests.nn.backends.text.zoo import tokenizer

TEXT = "the quick Köln 你好"


@pytest.fixture
def store():
    with onecopy.start("tokenizers", capacity="64MiB") as store:
        yield store


def encoded(found) -> list[int]:
    return found(TEXT)["input_ids"]


def test_a_tokenizer_comes_back_as_it_was_saved(store) -> None:
    nn.save_tokenizer(store, "llm", tokenizer())
    found = load_tokenizer(store, "llm/tokenizer")
    assert encoded(found) == encoded(tokenizer())
    assert found.eos_token_id == 0


def test_one_of_the_tokenizers_library_is_taken_too(store) -> None:
    nn.save_tokenizer(store, "llm", tokenizer().backend_tokenizer)
    assert encoded(load_tokenizer(store, "llm/tokenizer")) == encoded(tokenizer())


def test_a_checkpoints_folder_is_taken_too(store, tmp_path: Path) -> None:
    tokenizer().save_pretrained(tmp_path)
    nn.save_tokenizer(store, "llm", tmp_path)
    nn.save_tokenizer(store, "llm", str(tmp_path), overwrite=True)
    assert encoded(load_tokenizer(store, "llm/tokenizer")) == encoded(tokenizer())


@pytest.mark.parametrize("value", [object(), 5, None])
def test_what_is_no_tokenizer_is_refused(store, value) -> None:
    with pytest.raises(InvalidArgument, match="no tokenizer"):
        nn.save_tokenizer(store, "llm", value)
    assert store.names() == []


def test_a_folder_without_one_is_refused(store, tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(InvalidArgument, match="has no tokenizer"):
            nn.save_tokenizer(store, "llm", path)


@pytest.mark.parametrize(
    "value",
    [
        [b"x"],
        {"../../x": b"{}"},
        {"a/b": b"{}"},
        {"": b"{}"},
        {"tokenizer.json": "text"},
        {"tokenizer.json": b"nonsense"},
        {"tokenizer_config.json": b"[]"},
        {},
    ],
)
def test_entries_that_are_no_tokenizer_are_refused(store, value, tmp_path: Path) -> None:
    store.save("llm/tokenizer", value)
    with pytest.raises(InvalidModel, match="llm/tokenizer"):
        load_tokenizer(store, "llm/tokenizer")


def test_a_missing_entry_is_said_to_be_missing(store) -> None:
    with pytest.raises(EntryNotFound):
        load_tokenizer(store, "llm/tokenizer")
    with pytest.raises(InvalidModel, match="save_tokenizer"):
        tokenizer_for(store, "llm", "")


def test_a_tokenizer_may_be_named(store, tmp_path: Path) -> None:
    nn.save_tokenizer(store, "other", tokenizer())
    tokenizer().save_pretrained(tmp_path)
    names = ("other", "other/tokenizer", str(tmp_path), str(tmp_path / "tokenizer.json"))
    for name in names:
        assert encoded(tokenizer_for(store, "llm", name)) == encoded(tokenizer())
    with pytest.raises(InvalidModel, match="no entry 'nobody'"):
        tokenizer_for(store, "llm", "nobody")


def test_code_that_a_tokenizer_brings_is_not_run(store, tmp_path: Path) -> None:
    config = (
        b'{"tokenizer_class": "Evil", "auto_map": {"AutoTokenizer": ["evil.Evil", "evil.Evil"]}}'
    )
    code = f"open({str(tmp_path / 'ran')!r}, 'w')".encode()
    store.save("llm/tokenizer", {"tokenizer_config.json": config, "evil.py": code})
    with pytest.raises(InvalidModel):
        load_tokenizer(store, "llm/tokenizer")
    assert not (tmp_path / "ran").exists()
