from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import onecopy
from onecopy.store.verifying import verify


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    """A snapshot of three entries, one larger than what is read at once."""
    path = tmp_path / "snapshot"
    with onecopy.start("test", capacity="64MiB") as store:
        store.save("a", torch.ones(3))
        store.save("b", {"x": torch.arange(300), "n": 1})
        store.save("large", torch.arange(1_000_000))
        store.snapshot(path)
    return path


def errors(path: Path) -> dict[str, str]:
    """What is wrong, by file."""
    return {each.path.name: str(each.error) for each in verify(path) if each.error is not None}


def test_a_whole_snapshot_is_right(snapshot: Path) -> None:
    verdicts = list(verify(snapshot))
    assert [each.path.name for each in verdicts] == [
        "onecopy.json",
        "a.safetensors",
        "b.safetensors",
        "large.safetensors",
    ]
    assert all(each.checked and each.error is None for each in verdicts)


def test_every_byte_counts(snapshot: Path) -> None:
    path = snapshot / "a.safetensors"
    whole = path.read_bytes()
    path.unlink()
    for at in range(len(whole)):
        changed = bytearray(whole)
        changed[at] ^= 1
        path.write_bytes(changed)
        found = list(verify(path))
        assert found[0].error is not None or not found[0].checked, at


def test_a_change_in_a_large_file_is_found(snapshot: Path) -> None:
    path = snapshot / "large.safetensors"
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(5_000_000)
        file.write(b"\xff")
    assert list(errors(snapshot)) == ["large.safetensors"]
    assert "checksum" in errors(snapshot)["large.safetensors"]


def test_progress_comes_to_the_end(snapshot: Path) -> None:
    counts: list[int] = []
    list(verify(snapshot / "large.safetensors", counts.append))
    size = (snapshot / "large.safetensors").stat().st_size
    assert 0 < size - sum(counts) < 100


def test_a_missing_file_is_the_manifests_error(snapshot: Path) -> None:
    (snapshot / "b.safetensors").unlink()
    assert list(errors(snapshot)) == ["onecopy.json"]


def test_entries_of_a_directory_store_have_checksums(tmp_path: Path) -> None:
    with onecopy.start("test", dir=tmp_path) as store:
        store.save("small", torch.ones(3))
        store.save("large", torch.arange(1_000_000))
        store.save("strided", torch.arange(1_000_000)[::2])
        verdicts = list(verify(tmp_path))
    assert [each.checked for each in verdicts] == [True] * 3


def test_an_imported_file_that_changed_is_found(tmp_path: Path) -> None:
    file = tmp_path / "m.safetensors"
    save_file({"w": torch.ones(3)}, file)
    with onecopy.start("test", dir=tmp_path / "store") as store:
        store.import_checkpoint(file)
        assert errors(tmp_path / "store") == {}
        os.utime(file, ns=(1, 1))
        assert "changed" in errors(tmp_path / "store")["m.safetensors"]


def test_a_file_of_others_has_no_checksum(tmp_path: Path) -> None:
    save_file({"w": torch.ones(3)}, tmp_path / "m.safetensors")
    (verdict,) = verify(tmp_path)
    assert (verdict.checked, verdict.error) == (False, None)


def test_where_there_is_nothing_to_verify_it_says_so(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(onecopy.InvalidArgument):
            list(verify(path))
