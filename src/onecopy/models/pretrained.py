"""Checkpoints of transformers, read once per host: the first worker imports, all others map."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from onecopy.errors import EntryNotFound, InvalidArgument
from onecopy.extras import require

if TYPE_CHECKING:
    from onecopy.segments.mapping import Mode
    from onecopy.store.client import Store

# What a model depends on: its weights and configurations.
_FILES: Final = ("*.json", "*.safetensors", "*.bin")


def from_pretrained(
    store: Store,
    path: str | Path,
    *,
    name: str | None = None,
    model_class: str | type | None = None,
    timeout: float = -1,
    mode: Mode | None = None,
    ttl: float | None = None,
    pin: bool = False,
    **options: Any,
) -> Any:
    """Return the model of a checkpoint, in eval mode, its weights shared by all processes.

    The first caller has transformers read the checkpoint, and saves the model; the others, that
    wait for it meanwhile, map what it saved. None of them has a copy of the weights.

        model = onecopy.models.from_pretrained(store, "models/llama")

    Args:
        store: where it is kept.
        path: the checkpoint's folder, with a config.json, or a file in it.
        name: the entry's name. By default it depends on the folder and its files' sizes and times,
            on the class, the options and the version of transformers, so that a changed
            checkpoint is read anew. An entry of a name that you give is taken as it is.
        model_class: a model or auto class of transformers, or its name, such as
            `"AutoModelForCausalLM"`. By default the class that config.json names.
        timeout: how long to wait for another process to read it, in seconds; -1 is for ever.
        mode: as for `Store.load`.
        ttl: as for `Store.save`.
        pin: as for `Store.save`.
        **options: handed to the class's `from_pretrained`, such as `dtype`.

    Raises:
        InvalidArgument: there is no checkpoint, or its class is not known.
        UnsupportedValue: the model has what a store cannot hold, such as quantized weights.
    """
    folder = _folder(path)
    name = name or _name(folder, model_class, options)
    try:
        return store.load_module(name, mode=mode)
    except EntryNotFound:
        pass
    with store.lock(name, timeout=timeout):
        if name not in store:
            model = _find_class(folder, model_class).from_pretrained(folder, **options)
            store.save_module(name, model.eval(), ttl=ttl, pin=pin)
        # Its own copy of the weights goes; from here on it is as all others.
        return store.load_module(name, mode=mode)


def _folder(path: str | Path) -> Path:
    found = Path(path)
    found = (found.parent if found.is_file() else found).resolve()
    if not (found / "config.json").is_file():
        raise InvalidArgument(
            f"{found} is no checkpoint of transformers, for it has no config.json; give the "
            "folder of one (`hf download REPOSITORY --local-dir FOLDER` fetches it)"
        )
    return found


def _name(folder: Path, model_class: str | type | None, options: dict[str, Any]) -> str:
    """Return a name that changes with whatever the model depends on."""
    from importlib.metadata import version

    require("transformers")
    files = sorted({file for pattern in _FILES for file in folder.glob(pattern)})
    states = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    kind = model_class.__qualname__ if isinstance(model_class, type) else model_class
    chosen = {key: _plain(key, value) for key, value in sorted(options.items())}
    identity = [str(folder), states, kind, chosen, version("transformers")]
    digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()
    return f"transformers/{folder.name[:64]}/{digest[:16]}"


def _plain(key: str, value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if type(value).__module__ == "torch":  # A dtype or a device, whose text says all.
        return str(value)
    raise InvalidArgument(
        f"from_pretrained cannot tell models apart by {key}={value!r}; give `name=`, too"
    )


def _find_class(folder: Path, model_class: str | type | None) -> Any:
    import transformers

    if isinstance(model_class, type):
        return model_class
    name = model_class or _architecture(folder)
    kind = getattr(transformers, name, None)
    if not isinstance(kind, type) or not hasattr(kind, "from_pretrained"):
        raise InvalidArgument(
            f"transformers {transformers.__version__} has no class {name!r}; give one with "
            'model_class="AutoModel"'
        )
    return kind


def _architecture(folder: Path) -> str:
    try:
        config = json.loads((folder / "config.json").read_bytes())
    except ValueError as error:
        raise InvalidArgument(f"{folder}/config.json does not parse: {error}") from error
    names = config.get("architectures") if isinstance(config, dict) else None
    return str(names[0]) if names else "AutoModel"
