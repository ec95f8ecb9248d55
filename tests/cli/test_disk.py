"""`snapshot` and `verify`, and `serve --dir`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import onecopy
from tests.cli.commands import command, on_terminal, refused, run


@pytest.fixture
def snapshot(store: onecopy.Store, tmp_path: Path) -> Path:
    for name in "abc":
        store.save(name, torch.ones(1000))
    run("snapshot", "test", tmp_path / "snapshot")
    return tmp_path / "snapshot"


class TestSnapshot:
    def test_it_writes_what_open_opens(self, snapshot: Path) -> None:
        assert onecopy.open(snapshot).names() == ["a", "b", "c"]

    def test_it_says_what_it_wrote(self, store: onecopy.Store, tmp_path: Path) -> None:
        store.save("x", torch.ones(256))
        path = tmp_path / "s"
        assert run("snapshot", "test", path).stdout == f"wrote {path}: 1 entries, 1 KiB\n"

    @pytest.mark.usefixtures("snapshot")
    def test_entries_can_be_chosen(self, tmp_path: Path) -> None:
        run("snapshot", "test", tmp_path / "some", "a", "c")
        assert onecopy.open(tmp_path / "some").names() == ["a", "c"]
        assert "no entry 'z'" in refused("snapshot", "test", tmp_path / "none", "a", "z")
        assert not (tmp_path / "none").exists()

    def test_a_path_that_is_taken_needs_force(self, snapshot: Path) -> None:
        assert "give --force" in refused("snapshot", "test", snapshot)
        run("snapshot", "test", snapshot, "a", "--force")
        assert onecopy.open(snapshot).names() == ["a"]

    def test_progress_is_shown_on_a_terminal(self, store: onecopy.Store, tmp_path: Path) -> None:
        store.save("x", torch.ones(1000))
        with on_terminal("snapshot", "test", tmp_path / "s") as terminal:
            assert "/3.9 KiB" in terminal.read_all()


class TestVerify:
    def test_it_counts_what_matches(self, snapshot: Path) -> None:
        assert run("verify", snapshot).stdout.startswith("4 of 4 files match, ")
        assert run("verify", snapshot / "a.safetensors").stdout.startswith("1 of 1 files match")

    def test_it_names_what_does_not(self, snapshot: Path) -> None:
        path = snapshot / "b.safetensors"
        content = bytearray(path.read_bytes())
        content[1000] ^= 1
        path.unlink()
        path.write_bytes(content)
        result = run("verify", snapshot, code=1)
        assert f"{path}: its checksum is" in result.stderr
        assert "1 of 4 files are damaged" in result.stderr
        verdicts = json.loads(run("verify", snapshot, "--json", code=1).stdout)
        assert [each["error"] is None for each in verdicts] == [True, True, False, True]

    def test_a_file_of_others_is_said_to_have_none(self, tmp_path: Path) -> None:
        save_file({"w": torch.ones(3)}, tmp_path / "m.safetensors")
        result = run("verify", tmp_path / "m.safetensors")
        assert "m.safetensors has no checksum" in result.stderr
        assert result.stdout == "0 of 1 files match, 0 B\n"

    def test_a_store_is_verified_by_its_name(self, tmp_path: Path) -> None:
        with onecopy.start("disk", dir=tmp_path / "d") as store:
            store.save("x", torch.ones(3))
            assert run("verify", "disk").stdout.startswith("1 of 1 files match")

    def test_a_store_in_memory_has_nothing_to_verify(self, store: onecopy.Store) -> None:
        assert "take a snapshot" in refused("verify", "test")
        assert "nor a running store" in refused("verify", "nobody")


def test_serve_keeps_entries_in_a_directory(background: str, tmp_path: Path) -> None:
    for expected in ([], ["x"]):
        text = command("serve", background, "--dir", tmp_path / "d").stdout
        assert f"dir   {tmp_path / 'd'}" in text
        with onecopy.connect(background) as store:
            assert store.names() == expected
            assert store.stats().directory == str(tmp_path / "d")
            store.save("x", b"kept", overwrite=True)
        command("stop", background)


def test_serve_tells_of_files_that_are_no_entries(background: str, tmp_path: Path) -> None:
    command("serve", background, "--dir", tmp_path)
    with onecopy.connect(background) as store:
        store.save("x", b"kept")
    command("stop", background)
    (tmp_path / "junk.safetensors").write_bytes(b"nonsense")
    assert (
        "1 of the files there are no entries"
        in command("serve", background, "--dir", tmp_path).stderr
    )
    command("stop", background)
    (tmp_path / "junk.safetensors").unlink()
    assert command("serve", background, "--dir", tmp_path).stderr == ""


def test_serving_a_directory_that_is_served_is_refused(background: str, tmp_path: Path) -> None:
    with onecopy.start("first", dir=tmp_path / "d"):
        result = command("serve", background, "--dir", tmp_path / "d", check=False)
    assert "another store serves the directory" in result.stderr
