"""Compiling components: once, in a process of its own, into a private folder."""

from __future__ import annotations

import pytest

from onecopy.agents.worker.component import compile_component
from onecopy.errors import AccessDenied, InvalidModule
from onecopy.guests.wasm import module


def test_a_component_is_compiled_once(actions, tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    first = compile_component(actions, folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    monkeypatch.setattr(module, "_compile", None)
    again = compile_component(actions, folder)
    assert (again.digest, again.native) == (first.digest, first.native)


def test_another_engine_compiles_it_anew(actions, tmp_path, monkeypatch):
    compile_component(actions, tmp_path / "cache")
    monkeypatch.setattr("onecopy.agents.worker.component.SETTINGS", {"changed": True})
    compile_component(actions, tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_a_path_is_read(actions, tmp_path):
    path = tmp_path / "agent.wasm"
    path.write_bytes(actions)
    assert compile_component(path, tmp_path / "cache").component


def test_a_folder_of_others_is_not_believed(actions, tmp_path):
    folder = tmp_path / "cache"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(AccessDenied):
        compile_component(actions, folder)


@pytest.mark.parametrize(
    ("wasm", "text"),
    [
        (b"", "no WebAssembly component"),
        (b"\0asm\1\0\0\0", "no WebAssembly component"),
        (b"\0asm\r\0\1\0garbage", "does not compile"),
        (b"\0asm\r\0\1\0", "exports no function `handle`"),
    ],
)
def test_what_is_no_agent_is_refused(wasm, text, tmp_path):
    with pytest.raises(InvalidModule, match=text):
        compile_component(wasm, tmp_path / "cache")


def test_compiled_code_is_refused(actions, tmp_path):
    native = compile_component(actions, tmp_path / "cache").native
    with pytest.raises(InvalidModule, match="no WebAssembly component"):
        compile_component(native, tmp_path / "cache")
