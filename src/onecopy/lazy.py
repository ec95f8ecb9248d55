"""Names of a package that are imported when first asked for, so that importing it is cheap."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType


def exports(
    package: str, homes: Mapping[str, str | None]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the `__getattr__` and `__dir__` of a package (PEP 562).

    Args:
        package: its name.
        homes: each public name, and the module below the package where it lives, with `:name`
            behind it where that has another name there; None is for modules themselves.

    ```python
    __getattr__, __dir__ = exports(__name__, {"Store": "store.client", "guests": None})
    ```
    """

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        home = homes[name]
        if home is None:
            return _import(f"{package}.{name}")
        module, _, attribute = home.partition(":")
        value = getattr(_import(f"{package}.{module}"), attribute or name)
        setattr(sys.modules[package], name, value)
        return value

    return get, lambda: sorted(homes)


def _import(module: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        from onecopy.extras import missing

        # Whose name is asked for needs not know that torch is behind it.
        raise missing(error.name) or error from error
