"""A model's directory: where it is, and how its weights get into a store."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from onecopy.demo.errors import DemoError
from onecopy.demo.requirements import MODEL_PACKAGE


@dataclass(frozen=True)
class Checkpoint:
    """A directory with `config.json`, a tokenizer, and weights as safetensors."""

    directory: Path

    @classmethod
    def find(cls, directory: Path | None) -> Checkpoint:
        """Take `directory`, or without one the model that comes as a Python package."""
        found = cls((directory or _packaged_model()).resolve())
        if not (found.directory / "config.json").is_file():
            raise DemoError(f"{found.directory} has no config.json; --model takes a model's folder")
        if not found.weight_files:
            raise DemoError(f"{found.directory} has no *.safetensors; convert its weights first")
        return found

    @property
    def weight_files(self) -> list[Path]:
        """The safetensors files that make up the model: one, or its shards."""
        single = self.directory / "model.safetensors"
        return [single] if single.is_file() else sorted(self.directory.glob("model-*.safetensors"))

    @property
    def nbytes(self) -> int:
        """The size of the weights on disk, in bytes."""
        return sum(file.stat().st_size for file in self.weight_files)

    def tensors(self) -> dict[str, Any]:
        """Every tensor by its name, mapped from the files rather than read."""
        found: dict[str, Any] = {}
        for file in self.weight_files:
            found.update(_map_file(file))
        return found


def _map_file(file: Path) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(file))
    except (SafetensorError, OSError) as error:
        raise DemoError(f"{file} cannot be read: {error}") from error


def _packaged_model() -> Path:
    return Path(str(resources.files(MODEL_PACKAGE))) / "model"
