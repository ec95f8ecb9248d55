"""All tools of a server: its own, and those of installed packages."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any, Final

from onecopy.agents.grants.tools.tool import Tool
from onecopy.errors import InvalidArgument

GROUP: Final = "onecopy.tools"
"""The group of entry points: each is a `Tool`, or a function for `Tool.of`."""


class Registry:
    """Tools by name; those of entry points are imported when they are asked for.

    registry = Registry()
    registry.add(Tool.of(function))
    """

    def __init__(self) -> None:
        self._tools: dict[str, Tool] = {}

    def add(self, tool: Tool) -> None:
        """Add a tool of this program's; it hides one of a package's with the same name.

        Raises:
            InvalidArgument: this program has added one of that name.
        """
        if tool.name in self._tools:
            raise InvalidArgument(f"there is a tool {tool.name!r} already; give it another name")
        self._tools[tool.name] = tool

    def get(self, name: str) -> Tool:
        """Return a tool.

        Raises:
            InvalidArgument: there is none of that name, or its package fails.
        """
        if name not in self._tools:
            self._tools[name] = _installed(name)
        return self._tools[name]


def _installed(name: str) -> Tool:
    for point in entry_points(group=GROUP, name=name):
        try:
            return _as_tool(name, point.load())
        except Exception as error:  # a package's import raises whatever it likes
            raise InvalidArgument(f"the tool {name!r} ({point.value}) fails: {error}") from error
    known = ", ".join(sorted(each.name for each in entry_points(group=GROUP))) or "none"
    raise InvalidArgument(
        f"there is no tool {name!r}: this program has not added it, and no package has it among "
        f"its entry points {GROUP!r} (there are: {known})"
    )


def _as_tool(name: str, found: Any) -> Tool:
    tool = found if isinstance(found, Tool) else Tool.of(found, name=name)
    if tool.name != name:
        raise InvalidArgument(f"it calls itself {tool.name!r}")
    return tool
