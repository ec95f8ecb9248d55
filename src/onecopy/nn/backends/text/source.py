"""Where a text model comes from: an entry of a store, or the folder of a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from onecopy.errors import (
    EntryNotFound,
    InvalidArgument,
    InvalidModel,
    ModelNotFound,
    StoreUnavailable,
    UnsupportedOperation,
    UnsupportedValue,
)
from onecopy.nn.backends.text.tokenizer import open_folder, tokenizer_for

if TYPE_CHECKING:
    from onecopy.nn.backends.backend import Source

_CONNECT_SECONDS: Final = 10.0
_LOCAL: Final = {"local_files_only": True, "trust_remote_code": False}
"""Nothing is fetched, and no code that lies beside a model is run: by default it would ask."""


def load(source: Source, tokenizer: str, dtype: str) -> tuple[Any, Any]:
    """Return the model, in eval mode, and its tokenizer, both of transformers.

    Raises:
        ModelNotFound, InvalidModel, UnsupportedOperation: see `Backend.load`.
    """
    if source.foreign:
        raise UnsupportedOperation(
            "a guest brought a text model: it is several files; have the host name one "
            "(--model NAME=FOLDER,backend=text), and load it by that name"
        )
    if source.entry:
        return _load_entry(source, tokenizer)
    return _load_folder(source, tokenizer, dtype)


def _load_entry(source: Source, tokenizer: str) -> tuple[Any, Any]:
    with _open(source.store) as store:
        try:
            model = store.load(source.entry)
        except EntryNotFound as error:
            raise ModelNotFound(
                f"the store {source.store!r} has no entry {source.entry!r}; save_module saves one"
            ) from error
        except (UnsupportedValue, InvalidArgument) as error:
            raise InvalidModel(f"the entry {source.entry!r}: {error}") from error
        _check(model, source.entry)
        return model.eval(), tokenizer_for(store, source.entry, tokenizer)


def _open(name: str) -> Any:
    """Return a store, or a snapshot by its path."""
    import onecopy

    if "/" in name:
        return onecopy.open(name)
    try:
        return onecopy.connect(name, timeout=_CONNECT_SECONDS)
    except StoreUnavailable as error:
        raise ModelNotFound(f"the store {name!r} is not there: {error}") from error


def _load_folder(source: Source, tokenizer: str, dtype: str) -> tuple[Any, Any]:
    if len(source.files) != 1:
        raise InvalidModel("a text model is one folder, with a config.json in it")
    path = Path(source.files[0])
    folder = path.parent if path.is_file() else path
    if not folder.exists():
        raise ModelNotFound(f"{folder}: no such folder")
    if not (folder / "config.json").is_file():
        raise InvalidModel(f"{folder} is no checkpoint of transformers: it has no config.json")
    model = _read(folder, dtype)
    _check(model, str(folder))
    try:
        return model.eval(), open_folder(Path(tokenizer) if tokenizer else folder)
    except InvalidArgument as error:
        raise InvalidModel(str(error)) from error


def _read(folder: Path, dtype: str) -> Any:
    """Have transformers read a checkpoint; nothing of it is run, and pickles only as weights."""
    import transformers

    options: dict[str, Any] = _LOCAL | ({"dtype": dtype} if dtype else {})
    try:
        config = transformers.AutoConfig.from_pretrained(folder, **_LOCAL)
        kind = getattr(transformers, (config.architectures or ["AutoModel"])[0])
        return kind.from_pretrained(folder, **options)
    except Exception as error:  # It raises whatever the files make it raise.
        raise InvalidModel(f"transformers does not read {folder}: {error}") from error


def _check(model: Any, name: str) -> None:
    if not hasattr(model, "base_model") or not hasattr(getattr(model, "config", None), "to_dict"):
        raise InvalidModel(
            f"{name!r} is a {type(model).__name__}, no model of transformers; name its backend "
            "(pytorch for other modules)"
        )
