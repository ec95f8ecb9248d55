"""The component's side of the world `agent`; the build makes a module that calls `world`."""

from __future__ import annotations

import importlib
import random
from typing import TYPE_CHECKING, Any

from onecopy_agent import entry

if TYPE_CHECKING:
    from types import ModuleType


def world(module: ModuleType) -> type[Any]:
    """Return the class that componentize-py exports, for the agent in a module."""
    handle = entry.handler(module)
    error: Any = importlib.import_module("componentize_py_types").Err

    class WitWorld:
        def handle(self, event: str) -> str:
            # The module was imported when the component was built, and seeded then.
            random.seed()
            try:
                return entry.run(handle, event)
            except entry.Ended as ended:
                raise error(str(ended)) from None

    return WitWorld
