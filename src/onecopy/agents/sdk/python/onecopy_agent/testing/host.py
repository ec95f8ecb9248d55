"""`Host`: the interfaces of the WIT, kept in dictionaries or given by a test."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from onecopy_agent import entry, errors, host
from onecopy_agent.testing.http import Http
from onecopy_agent.testing.llm import Llm
from onecopy_agent.testing.memory import Memory

if TYPE_CHECKING:
    import contextvars
    from collections.abc import Callable

    from onecopy_agent.tools import Tool


class Host:
    """Answers an agent's calls while it is entered with `with`."""

    def __init__(self) -> None:
        self.http = Http()
        self.llm = Llm()
        self.memory = Memory()
        self.kv: dict[str, dict[str, str]] = {"agent": {}, "conversation": {}}
        """Values as JSON texts, by scope and key."""
        self.tools: list[Tool] = []
        """Tools of the host: functions marked with `@tool`."""
        self.entries: dict[str, str] = {}
        """Texts of the store, by name."""
        self.log: list[tuple[str, str]] = []
        """Level and message; of steps the level is `step`."""
        self.calls: list[tuple[str, list[Any]]] = []
        """All calls but those of the log, in order."""
        self._before: contextvars.Token[host.Host | None] | None = None

    def __enter__(self) -> Host:
        self._before = host.installed.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            host.installed.reset(self._before)
            self._before = None

    def run(self, handle: Callable[[Any], Any], event: dict[str, Any]) -> Any:
        """Call an agent as a run does: with the event by way of JSON, to an answer by way of JSON.

        Raises:
            entry.Ended: what the component would return as its error.
        """
        return json.loads(entry.run(handle, json.dumps(event)))

    def call(self, name: str, arguments: list[Any]) -> Any:
        """Answer a call of the agent."""
        interface, function = name.split(".")
        if interface == "log":
            self.log.append(("step", *arguments) if function == "step" else tuple(arguments))
            return None
        self.calls.append((name, arguments))
        return getattr(self, f"_{interface}")(function, arguments)

    def _http(self, _: str, arguments: list[Any]) -> Any:
        return self.http.send(arguments[0])

    def _llm(self, _: str, arguments: list[Any]) -> str:
        return self.llm.chat(arguments[0])

    def _memory(self, function: str, arguments: list[Any]) -> Any:
        return getattr(self.memory, function)(*arguments)

    def _kv(self, function: str, arguments: list[Any]) -> Any:
        scope, first, *rest = arguments
        values = self.kv[scope]
        match function:
            case "get":
                return values.get(first)
            case "set":
                values[first] = rest[0]
            case "delete":
                values.pop(first, None)
            case "keys":
                return sorted(each for each in values if each.startswith(first))
        return None

    def _tools(self, function: str, arguments: list[Any]) -> str:
        if function == "describe":
            return json.dumps([each.describe() for each in self.tools])
        name, given = arguments
        found = next((each for each in self.tools if each.name == name), None)
        if found is None:
            raise errors.NotGranted(f'add to agent.toml: [[grants.tools]] name = "{name}"')
        return found.run(json.loads(given))

    def _entries(self, function: str, arguments: list[Any]) -> Any:
        if function == "names":
            return sorted(each for each in self.entries if each.startswith(arguments[0]))
        text = self.entries.get(arguments[0])
        if text is None:
            raise errors.NotGranted(
                f'add to agent.toml: [grants.entries] names = ["{arguments[0]}"]'
            )
        return text if function == "read" else json.dumps(text)
