"""The manifest of an agent: what it is called for, what it may reach, and how much it may use.

`docs/agents-manifest.md` has all keys.
"""

from onecopy.agents.manifest.bound_event import BoundEvent
from onecopy.agents.manifest.limits import Limits
from onecopy.agents.manifest.manifest import Manifest

__all__ = ["BoundEvent", "Limits", "Manifest"]
