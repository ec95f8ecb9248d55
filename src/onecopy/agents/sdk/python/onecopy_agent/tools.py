"""Tools: functions that a model may ask for, of this agent or of its host.

@tool
def weather(city: str, days: int = 1) -> str:
    "The weather of a city in the coming days."
    return http.get(…).text
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from onecopy_agent import errors, schema
from onecopy_agent.host import call as _call

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Tool:
    """A function with what a model is told of it; `parameters` is a JSON Schema."""

    name: str
    description: str
    parameters: dict[str, Any]
    function: Callable[..., Any]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function itself."""
        return self.function(*args, **kwargs)

    def describe(self) -> dict[str, Any]:
        """Return it as an entry of the `tools` of a chat completion."""
        shown = {"name": self.name, "description": self.description, "parameters": self.parameters}
        return {"type": "function", "function": shown}

    def run(self, arguments: dict[str, Any]) -> str:
        """Call it with a model's arguments; return text, or JSON of what is none.

        Raises:
            Invalid: the arguments do not fit the schema; the text says where.
        """
        wrong = schema.mismatch(arguments, self.parameters)
        if wrong:
            raise errors.Invalid(f"{self.name}: {wrong}")
        result = self.function(**arguments)
        return result if isinstance(result, str) else json.dumps(result)


def tool(function: Callable[..., Any]) -> Tool:
    """Make a tool of a function: its schema is that of its type hints, its text the docstring's."""
    return Tool(
        function.__name__,
        (function.__doc__ or "").strip(),
        schema.of_parameters(function),
        function,
    )


def granted() -> list[Tool]:
    """Return the tools that `[[grants.tools]]` gives this agent."""
    return [_granted(each["function"]) for each in json.loads(_call("tools.describe"))]


def call(name: str, /, **arguments: Any) -> str:
    """Call a tool of the host."""
    return str(_call("tools.call", name, json.dumps(arguments)))


def _granted(shown: dict[str, Any]) -> Tool:
    name = shown["name"]
    parameters = shown.get("parameters") or {"type": "object"}

    def function(**arguments: Any) -> str:
        return call(name, **arguments)

    return Tool(name, shown.get("description") or "", parameters, function)
