"""What a capability refuses, as a test wants to know it."""

from __future__ import annotations

from typing import Any

import pytest

from onecopy.agents.calls import Capability, Refused


async def refusal(capability: Capability, function: str, *arguments: Any) -> tuple[str, str]:
    """Code and message of the refusal of a call."""
    with pytest.raises(Refused) as caught:
        await capability.call(function, list(arguments))
    return caught.value.refusal.code, caught.value.refusal.message
