"""Functions of the host that agents may call (docs/agents-capabilities.md).

from onecopy.agents.grants.tools import Registry, Tool

registry = Registry()
registry.add(Tool.of(function))         beside those of the entry points `onecopy.tools`
"""

from onecopy.agents.grants.tools.registry import Registry
from onecopy.agents.grants.tools.tool import Tool
from onecopy.agents.grants.tools.tools import Tools

__all__ = ["Registry", "Tool", "Tools"]
