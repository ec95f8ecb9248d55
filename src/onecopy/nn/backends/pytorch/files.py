"""Files of PyTorch: which form one has, and loading it without running what it holds."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from onecopy.errors import InvalidModel
from onecopy.nn.backends import failures


def form_of(path: Path) -> str:
    """Return what a file is: `exported`, `script` or `weights`, by the names in its archive.

    Raises:
        InvalidModel: it is no archive of torch.
    """
    try:
        with path.open("rb") as file:
            # torch.jit.load takes another format, too, which has its magic where a zip has none.
            if file.read(4) != b"PK\x03\x04":
                raise zipfile.BadZipFile("it does not begin as one")
        with zipfile.ZipFile(path) as archive:
            names = {name.partition("/")[2] for name in archive.namelist()}
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise InvalidModel(f"{path} is no archive of torch: {error}") from error
    if "archive_format" in names or "serialized_exported_program.json" in names:
        return "exported"
    if "constants.pkl" in names and "data.pkl" in names:
        return "script"
    if "data.pkl" in names:
        return "weights"
    raise InvalidModel(f"{path} is an archive, but none of torch.export, torch.jit or torch.save")


def load_exported(path: Path) -> Any:
    """Load a `.pt2`; it comes from a trusted host, since torch unpickles and evaluates parts."""
    import torch

    with _loading("torch.export.load"):
        return torch.export.load(path)


def load_script(path: Path, *, foreign: bool) -> Any:
    """Load TorchScript onto the CPU; of a guest's, the code is looked at first."""
    import torch

    from onecopy.nn.backends.pytorch import script

    if foreign:
        script.inspect(path)
    with _loading("torch.jit.load"):
        module = torch.jit.load(str(path), map_location="cpu")
        if foreign:
            script.check_operators(module)
        return module


def load_weights(path: Path, module: Any) -> None:
    """Give a module the tensors of a state dict file, mapped; nothing in it is run."""
    import torch

    with _loading("torch.load"):
        state = torch.load(path, weights_only=True, mmap=True, map_location="cpu")
        module.load_state_dict(state, assign=True)


@contextmanager
def _loading(function: str) -> Iterator[None]:
    """Errors become ours, without torch's warnings: what it deprecates is not for our users."""
    with warnings.catch_warnings(), failures.loading(function):
        warnings.simplefilter("ignore")
        yield
