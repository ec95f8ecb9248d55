from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from onecopy.errors import CorruptEntry, InvalidArgument
from onecopy.store.checkpoint_files import default_name, files_of, open_file


def write(path: Path, *keys: str) -> Path:
    save_file({key: torch.ones(2) for key in keys}, path)
    return path


def write_index(path: Path, weights: dict[str, str]) -> Path:
    path.write_text(json.dumps({"weight_map": weights}))
    return path


def test_a_file_is_a_checkpoint_of_one(tmp_path: Path) -> None:
    path = write(tmp_path / "model.safetensors", "a")
    assert files_of(path) == [path]
    assert files_of(tmp_path) == [path]


def test_an_index_says_which_files_there_are(tmp_path: Path) -> None:
    one, two = write(tmp_path / "1.safetensors", "a"), write(tmp_path / "2.safetensors", "b")
    write(tmp_path / "other.safetensors", "c")
    index = write_index(tmp_path / "m.safetensors.index.json", {"a": one.name, "b": two.name})
    assert files_of(index) == files_of(tmp_path) == [one, two]


@pytest.mark.parametrize("name", ["", "../x.safetensors", ".hidden", "gone.safetensors"])
def test_an_index_names_only_files_that_lie_beside_it(tmp_path: Path, name: str) -> None:
    write(tmp_path / ".hidden", "a")
    with pytest.raises(CorruptEntry):
        files_of(write_index(tmp_path / "m.safetensors.index.json", {"a": name}))


def test_a_directory_without_files_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="convert"):
        files_of(tmp_path)


@pytest.mark.parametrize("name", ["m.safetensors", "m.safetensors.index.json", "m"])
def test_a_checkpoint_is_called_as_its_file_or_directory(tmp_path: Path, name: str) -> None:
    assert default_name(tmp_path / name) == "m"


def test_a_file_that_was_written_to_says_so_and_has_another_version(tmp_path: Path) -> None:
    path = write(tmp_path / "model.safetensors", "a")
    with open_file(path) as file:
        file.check_unchanged()
        os.utime(path, ns=(1, 1))
        with pytest.raises(CorruptEntry, match="import it again"):
            file.check_unchanged()
    with open_file(path) as changed:
        assert changed.version != file.version


def test_what_cannot_be_mapped_is_not_opened(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(InvalidArgument, match="copy it"), open_file(pipe):
        pass
