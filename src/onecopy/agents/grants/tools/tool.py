"""One tool: a function, and what a language model has to know to call it."""

from __future__ import annotations

import copy
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from onecopy.agents.calls import INVALID, Refused
from onecopy.agents.grants.tools.schema import Schema, arguments_of, schema_of
from onecopy.errors import InvalidArgument

SECONDS: Final = 30.0
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True)
class Tool:
    """A function of the host that agents may call; most are made by `Tool.of`.

        >>> def word_count(text: str) -> int:
        ...     "Count the words of a text."
        ...     return len(text.split())
        >>> Tool.of(word_count).describe()["function"]["name"]
        'word_count'

    Raises:
        InvalidArgument: its name or its schema cannot be.
    """

    name: str
    """1 to 64 letters, digits, `_` and `-`."""
    description: str
    """For the model."""
    parameters: Mapping[str, Any]
    """The JSON Schema of its arguments: of an object."""
    function: Callable[..., Any]
    """Called with them by name, in a thread; a coroutine function in the event loop. What it
    returns is JSON, or a text."""
    seconds: float = SECONDS
    """How long a call may take."""
    arguments: type[msgspec.Struct] | None = None
    """What the arguments are made, before the function has them."""
    _schema: Schema = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InvalidArgument(
                f"{self.name!r} cannot name a tool: use 1 to 64 letters, digits, '_' and '-'"
            )
        object.__setattr__(self, "_schema", Schema(self.parameters))

    @classmethod
    def of(
        cls,
        function: Callable[..., Any],
        *,
        name: str = "",
        description: str = "",
        seconds: float = SECONDS,
    ) -> Tool:
        """Make a tool of a function with annotations.

        Args:
            function: what is called.
            name: by default the function's.
            description: by default its docstring.
            seconds: how long a call may take.

        Raises:
            InvalidArgument: an argument has a type that JSON has not, or no name.
        """
        arguments = arguments_of(function)
        return cls(
            name or function.__name__,
            description or inspect.getdoc(function) or "",
            schema_of(arguments),
            function,
            seconds,
            arguments,
        )

    def bound(self, function: Callable[..., Any]) -> Tool:
        """Return this tool with another function; its schema is not compiled again."""
        made = copy.copy(self)
        object.__setattr__(made, "function", function)
        return made

    def describe(self) -> dict[str, Any]:
        """Return it as one of the `tools` of a chat completion."""
        return {
            "type": "function",
            "function": {
                "name": self.name,
                "description": self.description,
                "parameters": dict(self.parameters),
            },
        }

    def checked(self, arguments: Any) -> dict[str, Any]:
        """Return arguments as the function takes them.

        Raises:
            Refused: they are not what the schema says.
        """
        wrong = self._schema.complaint(arguments)
        if wrong:
            raise Refused(INVALID, f"the arguments of {self.name} do not fit its schema: {wrong}")
        if self.arguments is None:
            return dict(arguments)
        try:
            made = msgspec.convert(arguments, self.arguments)
        except msgspec.ValidationError as error:
            raise Refused(INVALID, f"the arguments of {self.name}: {error}") from None
        return {name: getattr(made, name) for name in self.arguments.__struct_fields__}
