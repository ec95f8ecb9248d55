"""Fixtures: guests made of C and of WAT, and caches of compiled modules."""

from __future__ import annotations

import functools
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import onecopy.guests
from onecopy.guests.wasm.module import compile_module

if TYPE_CHECKING:
    import wasmtime

SDK = Path(onecopy.guests.__file__).parent / "sdk"

_FLAGS = (
    *("--target=wasm32-freestanding", "-nostdlib", "-Wl,--no-entry"),
    *("-fvisibility=hidden", "-Wl,--export-dynamic", "-O2"),
    *("-Wall", "-Wextra", "-Werror", "-I", str(SDK)),
)


@pytest.fixture(autouse=True)
def _shared(caches: Path) -> None:
    """Compiled modules stay for the next test."""


@pytest.fixture
def cache(_shared: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that programs keep their caches in, for this test alone."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


@pytest.fixture
def direct() -> bool:
    """One way to open entries is enough: guests get what is open. test_mapped.py has both."""
    return True


@pytest.fixture(scope="session")
def wat() -> Callable[[str], bytes]:
    """Turns the text form of a module into Wasm."""
    import wasmtime

    return lambda text: bytes(wasmtime.wat2wasm(text))


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory, zig: str) -> Callable[..., bytes]:
    """Turns C, a text or the path of a file, into Wasm; each source is compiled once a session.

    Further arguments go to the compiler.
    """
    folder = tmp_path_factory.mktemp("guests")
    environment = os.environ | {"ZIG_LOCAL_CACHE_DIR": zig, "ZIG_GLOBAL_CACHE_DIR": zig}

    def compile_c(source: str | Path, *flags: str) -> bytes:
        if isinstance(source, str):
            name = hashlib.sha256(source.encode()).hexdigest()[:16]
            path = folder / f"{name}.c"
            path.write_text(source)
        else:
            path = source
        text = path.read_bytes() + repr(flags).encode()
        out = folder / f"{hashlib.sha256(text).hexdigest()[:16]}.wasm"
        if not out.exists():
            command = [sys.executable, "-m", "ziglang", "cc", *_FLAGS, *flags]
            done = subprocess.run(
                [*command, str(path), "-o", str(out)],
                env=environment,
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, done.stderr
        return out.read_bytes()

    return compile_c


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Callable[[bytes], wasmtime.Module]:
    """Turns Wasm into a module ready to be instantiated; each is compiled once a session."""
    folder = tmp_path_factory.mktemp("modules")
    return functools.cache(lambda wasm: compile_module(wasm, folder / "cache").load())


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes a source file, and returns its path."""

    def write(text: str, name: str = "guest.c") -> Path:
        path = tmp_path / name
        path.write_text(f'#include "onecopy.h"\n{text}\n')
        return path

    return write
