"""Functions of the host: `tools` of the WIT."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from onecopy.agents.calls import FAILED, INVALID, NOT_GRANTED, TIMEOUT, TOO_LARGE, Refused
from onecopy.agents.grants.arguments import checked
from onecopy.agents.grants.tools.threads import Threads
from onecopy.agents.grants.tools.tool import Tool

_log = logging.getLogger(__name__)

ARGUMENT_BYTES: Final = 1 << 20
RESULT_BYTES: Final = 1 << 20
_SHOWN: Final = 300
_FUNCTIONS: Final = {"describe": tuple[()], "call": tuple[str, str]}


class Tools:
    """The tools of one agent (a `Capability`).

        tools = Tools([registry.get(each.name) for each in manifest.grants.tools], threads)
        await tools.call("call", ["word-count", '{"text": "one two"}'])

    Args:
        tools: those that are granted.
        threads: where they run; one for all agents of a server.
    """

    def __init__(self, tools: Iterable[Tool], threads: Threads) -> None:
        self._tools = {each.name: each for each in tools}
        self._threads = threads

    async def call(self, function: str, arguments: list[Any]) -> Any:
        """Carry out `describe` or `call`.

        Raises:
            Refused: `not-granted`; `invalid` arguments; `timeout`; `too-large` arguments or
                result; `failed`, with what the tool raised.
        """
        match checked(_FUNCTIONS, function, arguments):
            case (name, text):
                return await self._call(self._granted(name), text)
            case _:
                described = [each.describe() for each in self._tools.values()]
                return msgspec.json.encode(described).decode()

    def _granted(self, name: str) -> Tool:
        if name not in self._tools:
            quoted = msgspec.json.encode(name).decode()
            raise Refused(
                NOT_GRANTED,
                f"the tool {name!r} is not granted; add to agent.toml: [[grants.tools]] "
                f"name = {quoted}",
            )
        return self._tools[name]

    async def _call(self, tool: Tool, text: str) -> str:
        try:
            return _text(tool.name, await self._run(tool, _decoded(tool.name, text)))
        except Refused:
            raise
        except Exception as error:  # whatever a tool raises is this call's end, and no more
            _log.info("the tool %s failed", tool.name, exc_info=True)
            said = f"{type(error).__name__}: {error}"[:_SHOWN]
            raise Refused(FAILED, f"the tool {tool.name} failed: {said}") from error

    async def _run(self, tool: Tool, arguments: Any) -> Any:
        # Checking is in the thread, too: a schema may take its time.
        if not inspect.iscoroutinefunction(tool.function):
            return await self._threads.run(
                tool.name, lambda: tool.function(**tool.checked(arguments)), tool.seconds
            )
        made = await self._threads.run(tool.name, lambda: tool.checked(arguments), tool.seconds)
        task = asyncio.ensure_future(tool.function(**made))
        try:
            return await asyncio.wait_for(task, tool.seconds)
        except asyncio.TimeoutError:
            if not task.cancelled():
                raise  # its own
            raise Refused(TIMEOUT, f"{tool.name} took longer than {tool.seconds:g} s") from None


def _decoded(name: str, text: str) -> Any:
    if len(text.encode()) > ARGUMENT_BYTES:
        raise Refused(TOO_LARGE, f"the arguments of {name} have more than {ARGUMENT_BYTES} bytes")
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Refused(INVALID, f"the arguments of {name} are not JSON: {error}") from None


def _text(name: str, result: Any) -> str:
    text = result if isinstance(result, str) else msgspec.json.encode(result).decode()
    if len(text.encode()) > RESULT_BYTES:
        raise Refused(TOO_LARGE, f"the result of {name} has more than {RESULT_BYTES} bytes")
    return text
