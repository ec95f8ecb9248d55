"""PyTorch: modules in a store, exported programs (`.pt2`), TorchScript, state dicts in files.

docs/design/nn.md says what is loaded from whom: of what a guest brings, only TorchScript is.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from onecopy.errors import (
    InvalidModel,
    ModelNotFound,
    OnecopyError,
)
from onecopy.nn.backends import contents, options, registry
from onecopy.nn.backends.backend import Source, TensorModel
from onecopy.store.client import Store

if TYPE_CHECKING:
    from onecopy.store.snapshot import Snapshot


class Options(options.Common):
    """What the host may say about a model."""

    module: str = ""
    """`package:callable` that builds the module for a state dict; it is called with nothing."""
    inputs: str | list[str] = ""
    """Names of forward's arguments that are the inputs, in this order, with commas between."""


class PyTorch:
    """The backend `pytorch`."""

    encodings = ("pytorch",)
    suffixes = (".pt2", ".pt", ".pth")

    def load(self, source: Source) -> TensorModel:
        """Load a module entry, a state dict with a module for it, a `.pt2` or TorchScript file.

        Raises:
            ModelNotFound: there is no such entry or file.
            InvalidModel: it is none of these, or a guest brought what only a host may give.
            BackendMissing: torch is not installed.
        """
        chosen = options.parse(source.options, Options)
        torch = registry.require("torch", "torch")
        if chosen.threads is not None:
            torch.set_num_threads(chosen.threads)
        if source.foreign and (source.entry or chosen.module):
            raise InvalidModel("what a guest brings is a file of TorchScript, without a module")
        if source.entry:
            return _from_module(_entry_module(source, chosen), chosen)
        return _from_file(source, chosen)


def _from_module(module: Any, chosen: Options) -> TensorModel:
    from onecopy.nn.backends.pytorch.modules import ModuleModel

    wanted = options.names(chosen.inputs) if chosen.inputs else []
    return ModuleModel(module.eval(), wanted, chosen.batch)


def _entry_module(source: Source, chosen: Options) -> Any:
    """Return the module of an entry: its weights are the store's pages."""
    import torch

    try:
        with contents.store_of(source) as store:
            if chosen.module:
                return _filled(_build(chosen.module), store, source.entry)
            module = store.load(source.entry)
    except (ModelNotFound, InvalidModel):
        raise
    except (OnecopyError, RuntimeError, TypeError) as error:
        raise InvalidModel(f"the entry {source.entry!r}: {error}") from error
    if not isinstance(module, torch.nn.Module):
        raise InvalidModel(
            f"the entry {source.entry!r} holds no module: save it with save_module, or give "
            "module=package:callable for a state dict"
        )
    return module


def _filled(module: Any, store: Store | Snapshot, name: str) -> Any:
    """Give a module the memory of an entry; snapshots have nothing of their own for that."""
    if isinstance(store, Store):
        store.load_into(module, name)
    else:
        module.load_state_dict(store.load(name), assign=True)
    return module


def _build(name: str) -> Any:
    import torch

    package, colon, attribute = name.partition(":")
    try:
        if not colon:
            raise AttributeError("no colon in it")
        module = getattr(importlib.import_module(package), attribute)()
    except Exception as error:  # Whatever the host's code raises.
        raise InvalidModel(f"module={name}: give package:callable ({error!r})") from error
    if not isinstance(module, torch.nn.Module):
        raise InvalidModel(f"module={name} returned {type(module).__name__}, not a torch module")
    return module


def _from_file(source: Source, chosen: Options) -> TensorModel:
    from onecopy.nn.backends.pytorch import files

    what = "a PyTorch model is one file, or an entry of a store"
    (path,) = registry.files_of(source.files, 1, 1, what)
    form = files.form_of(path)
    if form == "exported" and not source.foreign:
        from onecopy.nn.backends.pytorch.exported import ExportedModel

        return ExportedModel(files.load_exported(path), chosen.batch)
    if form == "script":
        return _from_module(files.load_script(path, foreign=source.foreign), chosen)
    if source.foreign:
        raise InvalidModel(f"a guest may bring TorchScript only, and {path} is {form}")
    if not chosen.module:
        raise InvalidModel(f"{path} holds weights only: give module=package:callable")
    module = _build(chosen.module)
    files.load_weights(path, module)
    return _from_module(module, chosen)
