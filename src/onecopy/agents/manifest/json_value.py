"""Tables of a manifest that become JSON."""

from __future__ import annotations

import math
from typing import Any, Final

from onecopy.agents.manifest.wrong import Wrong

DEPTH: Final = 32


def check(value: Any, key: str, depth: int = DEPTH) -> None:
    """Refuse what JSON has not: it has no dates, no infinities, and an end.

    Raises:
        Wrong: with the key at which it is.
    """
    if depth == 0:
        raise Wrong(key, "it is nested too deep")
    if isinstance(value, dict):
        for name, each in value.items():
            check(each, f"{key}.{name}", depth - 1)
    elif isinstance(value, list):
        for index, each in enumerate(value):
            check(each, f"{key}[{index}]", depth - 1)
    elif (
        not isinstance(value, (str, int, float)) or value in (math.inf, -math.inf) or value != value
    ):
        raise Wrong(key, f"JSON has no {value!r}; write it as a text")
