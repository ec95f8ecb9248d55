"""Packages that only parts of onecopy need, and what installs each."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

from onecopy.errors import PackageMissing

_EXTRAS: Final = {
    "torch": "torch",
    "numpy": "numpy",
    "wasmtime": "guests",
    "llguidance": "guests",
    "ziglang": "build",
    "sympy": "planner",
    "aiohttp": "agents",
    "jinja2": "agents",
    "prometheus_client": "agents",
    "cronsim": "agents",
    "jsonschema": "agents",
    "tomli": "agents",
    "componentize_py": "agents-build",
    "httpx": "openai",
    "transformers": "text",
}


def missing(package: str | None) -> PackageMissing | None:
    """Return what to raise where this package is not installed; None if it is of no extra."""
    if package not in _EXTRAS:
        return None
    return PackageMissing(
        f"this needs {package}, which is not installed here; "
        f"run `pip install 'onecopy[{_EXTRAS[package]}]'`"
    )


def require(*packages: str) -> None:
    """Raise `PackageMissing` for the first package of an extra that is not there.

    Imports none of them.

    ```python
    require("wasmtime", "llguidance")
    ```
    """
    for package in packages:
        if find_spec(package) is None and (error := missing(package)):
            raise error
