"""Where a package is missing, the error names it and the extra that installs it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

import onecopy
from onecopy import PackageMissing, guests, nn
from onecopy.extras import _EXTRAS, missing, require
from onecopy.lazy import exports
from tests.cli.commands import refused
from tests.pages import ROOT


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch):
    """Make packages look as if they were not installed."""

    def hide(*names: str) -> None:
        for name in names:
            monkeypatch.setitem(sys.modules, name, None)

    return hide


def test_what_is_installed_is_enough() -> None:
    require("torch", "numpy")


def test_a_missing_package_is_an_import_error_and_an_invalid_argument(without) -> None:
    without("wasmtime")
    with pytest.raises(PackageMissing, match=r"wasmtime.*pip install 'onecopy\[guests\]'") as got:
        require("torch", "wasmtime")
    assert isinstance(got.value, ImportError)
    assert isinstance(got.value, onecopy.InvalidArgument)


def test_a_package_of_no_extra_is_somebody_elses() -> None:
    assert missing("antigravity") is None
    assert missing(None) is None


def test_every_extra_has_the_package_that_it_is_named_for() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    table = text.partition("[project.optional-dependencies]")[2].partition("[project.scripts]")[0]
    for package, extra in _EXTRAS.items():
        (listed,) = re.findall(rf"^{extra} = \[(.*?)\]$", table, re.DOTALL | re.MULTILINE)
        assert f'"{package.replace("_", "-")}' in listed, package


def test_a_pool_of_guests_says_so_before_it_starts_a_worker(without) -> None:
    without("wasmtime")
    with pytest.raises(PackageMissing, match="wasmtime"):
        guests.Pool()


def test_a_host_of_inference_says_so_before_it_starts_a_process(without) -> None:
    without("wasmtime")
    with nn.Host({}) as host, pytest.raises(PackageMissing, match="wasmtime"):
        host.run(b"\0asm\1\0\0\0")


def test_a_public_name_whose_module_needs_a_package_says_so(
    without, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lacking").mkdir()
    (tmp_path / "lacking" / "__init__.py").touch()
    (tmp_path / "lacking" / "inner.py").write_text("import sympy\n")
    (tmp_path / "lacking" / "other.py").write_text("import no_such_package\n")
    monkeypatch.syspath_prepend(tmp_path)
    import lacking

    without("sympy")
    get, _ = exports(lacking.__name__, {"a": "inner", "b": "other"})
    with pytest.raises(PackageMissing, match=r"onecopy\[planner\]"):
        get("a")
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        get("b")


def test_a_store_needs_torch_to_have_torch_allocate_in_it(without, store) -> None:
    without("torch")
    with pytest.raises(PackageMissing, match=r"onecopy\[torch\]"):
        store.storage()


def test_the_command_line_says_it_in_one_line(without, tmp_path: Path) -> None:
    without("wasmtime")
    (tmp_path / "guest.wasm").write_bytes(b"\0asm\1\0\0\0")
    assert "pip install 'onecopy[guests]'" in refused("guest", "run", tmp_path / "guest.wasm", "f")
