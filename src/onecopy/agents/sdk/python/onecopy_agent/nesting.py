"""JSON of others, read safely: where it is nested too deep, the parser would end the agent.

Each level takes of the stack of WebAssembly, which is small; what uses it up traps, and no
`except` sees that. A model, or who edits a comment, could end every attempt of an event so.
"""

from __future__ import annotations

import json
import re
from typing import Any

DEEPEST = 100
_BRACKETS = re.compile(r'"(?:[^"\\]+|\\.)*"?|[\[{]|[\]}]', re.DOTALL)


def loads(text: str) -> Any:
    """Read JSON.

    Raises:
        ValueError: it is none, or it is nested deeper than `DEEPEST`.
    """
    depth = 0
    for found in _BRACKETS.finditer(text):
        bracket = found[0]
        depth += 1 if bracket in "[{" else -1 if bracket in "]}" else 0
        if depth > DEEPEST:
            raise ValueError(f"it is nested deeper than {DEEPEST} levels")
    return json.loads(text)
