"""An agent that returns at once, or asks for a value first, and waits."""

from typing import Any

from onecopy_agent import kv


def handle(event: Any) -> Any:
    """Do as the payload says."""
    return kv.agent.get("key") if event.payload == "wait" else {}
