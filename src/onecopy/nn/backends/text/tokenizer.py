"""Tokenizers in a store, beside their models."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from onecopy.errors import EntryNotFound, InvalidArgument, InvalidModel

if TYPE_CHECKING:
    from onecopy.store.client import Store

SUFFIX: Final = "/tokenizer"
"""What follows a model's name in the name of its tokenizer's entry."""


def save_tokenizer(store: Store, name: str, tokenizer: Any, **options: Any) -> None:
    """Save the tokenizer of the model `name`, as the entry `name/tokenizer`.

        store.save_module("llm", model)
        save_tokenizer(store, "llm", "path/to/checkpoint")

    Args:
        store: where the model is.
        name: the model's.
        tokenizer: of transformers or tokenizers, or the folder of a checkpoint.
        **options: as for `Store.save`.

    Raises:
        InvalidArgument: no tokenizer, or one that is not a fast one.
    """
    found = open_folder(Path(tokenizer)) if isinstance(tokenizer, str | os.PathLike) else tokenizer
    found = _wrapped(found)
    with TemporaryDirectory(prefix="onecopy-") as folder:
        found.save_pretrained(folder)
        files = {each.name: each.read_bytes() for each in Path(folder).iterdir() if each.is_file()}
    store.save(name + SUFFIX, files, **options)


def load_tokenizer(store: Any, entry: str) -> Any:
    """Return the tokenizer of transformers that `save_tokenizer` saved as `entry`.

    Raises:
        EntryNotFound: there is none.
        InvalidModel: the entry is something else.
    """
    files = store.load(entry)
    if not isinstance(files, dict) or not all(map(_is_file, files.items())):
        raise InvalidModel(f"the entry {entry!r} is no tokenizer: save it by nn.save_tokenizer")
    with TemporaryDirectory(prefix="onecopy-") as folder:
        for name, content in files.items():
            Path(folder, name).write_bytes(content)
        try:
            return open_folder(Path(folder))
        except InvalidArgument as error:
            raise InvalidModel(f"the entry {entry!r}: {error}") from error


def open_folder(path: Path) -> Any:
    """Return the tokenizer of a checkpoint's folder, or of a tokenizer.json.

    Raises:
        InvalidArgument: there is none, or not a fast one.
    """
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    try:
        if path.is_file():
            return _wrapped(PreTrainedTokenizerFast(tokenizer_file=str(path)))
        if not path.is_dir():
            raise OSError("there is no such folder")
        options = {"local_files_only": True, "trust_remote_code": False}
        return _wrapped(AutoTokenizer.from_pretrained(path, **options))
    except InvalidArgument:
        raise
    except Exception as error:  # It raises whatever its files make it raise.
        raise InvalidArgument(
            f"{path} has no tokenizer that transformers reads: {error}; name one by tokenizer="
        ) from error


def _is_file(item: tuple[str, Any]) -> bool:
    name, content = item
    return bool(name) and Path(name).name == name and isinstance(content, memoryview | bytes)


def _wrapped(tokenizer: Any) -> Any:
    """Return a fast tokenizer of transformers."""
    from transformers import PreTrainedTokenizerFast

    if getattr(tokenizer, "backend_tokenizer", None) is not None:
        return tokenizer
    if hasattr(tokenizer, "to_str"):
        return PreTrainedTokenizerFast(tokenizer_object=tokenizer)
    raise InvalidArgument(
        f"{type(tokenizer).__name__} is no tokenizer with a tokenizer.json; give a fast one of "
        "transformers, one of tokenizers, or a checkpoint's folder"
    )


def entries_for(entry: str, given: str) -> tuple[str, ...]:
    """Return the names under which a model's tokenizer may be; `given` is one, or a path."""
    return (given, given + SUFFIX) if given else (entry + SUFFIX,)


def tokenizer_for(store: Any, entry: str, given: str) -> Any:
    """Return a model's tokenizer: the one named, or the one beside its entry.

    `given` is an entry of the store or a path.

    Raises:
        InvalidModel: there is none; the text says how to save one.
    """
    for name in entries_for(entry, given):
        try:
            return load_tokenizer(store, name)
        except EntryNotFound:
            pass
    if not given:
        raise InvalidModel(
            f"the model {entry!r} has no tokenizer beside it: nn.save_tokenizer(store, {entry!r}, "
            "tokenizer) saves one, or name one by the option tokenizer="
        )
    try:
        return open_folder(Path(given))
    except InvalidArgument as error:
        raise InvalidModel(f"no entry {given!r}, and {error}") from error
