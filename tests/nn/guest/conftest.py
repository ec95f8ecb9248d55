"""Fixtures: commands made of C, and what runs them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from onecopy import nn
from onecopy.guests import toolchain
from onecopy.nn.desk import serve
from onecopy.nn.guest.running import Guests

HOSTILE = Path(__file__).with_name("hostile")
FLAGS = ["-Werror", "-I", str(toolchain.COMMAND_SDK), "-I", str(HOSTILE)]


@pytest.fixture(scope="session")
def _built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("commands")


@pytest.fixture
def command(compiler: None, _built: Path) -> Callable[[str | Path], Path]:
    """Turns C, a text or the path of a file, into a command; each once a session.

    Without a C library, which would have to be built first: `tiny.h` has the little that they need.
    """

    def build(source: str | Path) -> Path:
        text = source if isinstance(source, str) else source.read_text()
        path = _built / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.c"
        wasm = path.with_suffix(".wasm")
        if not wasm.exists():
            path.write_text(text)
            toolchain.build(path, wasm, FLAGS)
        return wasm

    return build


@pytest.fixture
def guests(caches: Path) -> Iterator[Guests]:
    """A host without models."""
    with nn.Host({}) as host:
        guests = Guests(lambda models: serve(models, host), spare=False)
        yield guests
        guests.close()
