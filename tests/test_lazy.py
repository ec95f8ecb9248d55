"""Public names are imported when they are asked for, and no sooner."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import pytest

import onecopy
from onecopy import agents, guests, models, nn, planner
from onecopy.lazy import exports


@pytest.mark.parametrize("package", [onecopy, agents, guests, models, nn, planner])
def test_every_public_name_is_found_and_listed(package: ModuleType) -> None:
    assert set(package.__all__) <= set(dir(package))
    for name in package.__all__:
        assert getattr(package, name) is not None


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'onecopy' has no attribute 'save'"):
        onecopy.save  # noqa: B018


def test_a_name_may_have_another_one_in_its_module() -> None:
    get, names = exports("onecopy", {"register_codec": "tensors.codec:register"})
    assert get("register_codec") is onecopy.register_codec
    assert names() == ["register_codec"]


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import sys, onecopy; print(*sorted({'torch', 'numpy', 'wasmtime'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == ""
