"""Compiling the C library."""

import os
import subprocess
import sys

import pytest

from onecopy.native import build


def test_it_compiles_without_a_warning(tmp_path):
    command = ["cc", *build.FLAGS, "-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Werror"]
    sources = sorted(build.FOLDER.glob("*.c"))
    subprocess.run([*command, *sources, "-o", tmp_path / "library.so"], check=True)


def test_it_needs_neither_python_nor_torch():
    found = subprocess.run(["ldd", build.LIBRARY], capture_output=True, text=True, check=True)
    assert not {"python", "torch", "c10", "stdc++"} & set(found.stdout.replace(".", " ").split())


def test_a_library_in_use_is_replaced_not_overwritten(tmp_path, monkeypatch):
    target = tmp_path / "_native.so"
    target.write_bytes(b"old")
    monkeypatch.setattr(build, "LIBRARY", target)
    with target.open("rb") as old:
        assert build.build() == target
        assert old.read() == b"old"
    assert target.read_bytes()[:4] == b"\x7fELF"
    assert os.listdir(tmp_path) == ["_native.so"]


@pytest.mark.parametrize("compiler", ["/nowhere/cc", "false"])
def test_without_a_compiler_it_says_so(tmp_path, monkeypatch, compiler):
    monkeypatch.setattr(build, "LIBRARY", tmp_path / "_native.so")
    monkeypatch.setenv("CC", compiler)
    with pytest.raises(build.CompilerMissing, match=compiler):
        build.build()
    assert os.listdir(tmp_path) == []


def test_on_the_command_line_failure_is_a_line(tmp_path):
    environment = {**os.environ, "CC": "/nowhere/cc"}
    done = subprocess.run(
        [sys.executable, "-m", "onecopy.native.build"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "no C compiler" in done.stderr
    assert "Traceback" not in done.stderr
