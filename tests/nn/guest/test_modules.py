"""Modules that were run before are mapped, and those that changed are compiled."""

from __future__ import annotations

import os

import pytest
import wasmtime

from onecopy.errors import InvalidModule
from onecopy.nn.guest import modules
from onecopy.nn.guest.modules import Modules, Native
from tests.conftest import open_files


def wasm(status: int) -> bytes:
    return bytes(
        wasmtime.wat2wasm(
            f"""(module
            (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            (memory (export "memory") 1)
            (func (export "_start") i32.const {status} call $exit))"""
        )
    )


@pytest.fixture
def kept(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    before = open_files()
    kept = Modules()
    yield kept
    kept.close()
    kept.close()
    assert open_files() == before


def native(found: Native) -> bytes:
    fd = found.fd
    try:
        return os.pread(fd, os.fstat(fd).st_size, 0)
    finally:
        os.close(fd)


def test_a_file_that_has_not_changed_is_not_read_again(kept, tmp_path, monkeypatch):
    path = tmp_path / "guest.wasm"
    path.write_bytes(wasm(1))
    first = native(kept.get(path))
    monkeypatch.setattr(modules, "compile_command", None)
    assert native(kept.get(path)) == first
    assert native(kept.get(str(path))) == first
    assert native(kept.get(wasm(1))) == first


def test_a_file_that_has_changed_is(kept, tmp_path):
    path = tmp_path / "guest.wasm"
    path.write_bytes(wasm(1))
    first = native(kept.get(path))
    path.unlink()
    path.write_bytes(wasm(2))
    assert native(kept.get(path)) != first
    assert native(kept.get(wasm(1))) == first


def test_native_code_cannot_be_changed(kept):
    fd = kept.get(wasm(1)).fd
    with pytest.raises(PermissionError):
        os.pwrite(fd, b"x", 0)
    with pytest.raises(PermissionError):
        os.ftruncate(fd, 0)
    os.close(fd)


def test_the_last_few_are_kept(kept):
    for status in range(modules._KEPT + 3):
        os.close(kept.get(wasm(status)).fd)
    assert len(kept._segments) == modules._KEPT


def test_what_is_refused_is_not_kept(kept, tmp_path):
    with pytest.raises(InvalidModule):
        kept.get(b"\0asm")
    with pytest.raises(FileNotFoundError):
        kept.get(tmp_path / "none")
    assert not kept._segments
