"""The modules of a pool."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from onecopy import InvalidModule
from onecopy.guests.workers import last_used
from onecopy.guests.workers.modules import Modules


@pytest.fixture
def modules(cache: Path) -> Modules:
    return Modules(cache / "modules")


def wasm(wat: Callable[[str], bytes], pages: int = 1) -> bytes:
    return wat(f'(module (memory (export "memory") {pages}))')


def test_bytes_are_compiled_once(modules: Modules, wat: Callable[[str], bytes]) -> None:
    first = modules.module(wasm(wat))
    assert modules.module(wasm(wat)) is first
    assert modules.module(first) is first
    assert len(modules) == 1


def test_a_file_is_the_module_of_its_bytes(
    modules: Modules, wat: Callable[[str], bytes], tmp_path: Path
) -> None:
    path = tmp_path / "guest.wasm"
    path.write_bytes(wasm(wat))
    assert modules.module(path).digest == modules.module(wasm(wat)).digest


def test_what_is_no_module_is_refused_and_not_kept(modules: Modules) -> None:
    with pytest.raises(InvalidModule):
        modules.module(b"garbage")
    assert len(modules) == 0


def test_those_that_were_not_used_for_longest_go(
    modules: Modules, wat: Callable[[str], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = modules.module(wasm(wat, 1))
    monkeypatch.setattr(last_used, "MAX_NATIVE_NBYTES", len(first.native) * 5 // 2)
    second = modules.module(wasm(wat, 2))
    assert modules.module(wasm(wat, 1)) is first
    modules.module(wasm(wat, 3))
    assert len(modules) == 2
    assert modules.module(wasm(wat, 1)) is first
    assert modules.module(wasm(wat, 2)) is not second
