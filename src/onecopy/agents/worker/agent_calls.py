"""The interfaces of wit/agent.wit as calls of the host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from onecopy.agents.calls import Call
from onecopy.agents.worker.values import Err, Ok

if TYPE_CHECKING:
    from collections.abc import Callable

    from onecopy.agents.worker.run import Run


def agent_function(interface: str, function: str) -> Callable[..., Any]:
    """Return the function of an interface: it asks the host, and returns what it answers."""
    name = f"{interface}.{function}"
    if interface == "log":
        return lambda run, *arguments: _logged(run, name, arguments)
    return lambda run, *arguments: _asked(run, name, arguments)


def _asked(run: Run, name: str, arguments: tuple[Any, ...]) -> Ok | Err:
    reply = run.ask(Call(name, list(arguments)))
    if reply.error is None:
        return Ok(reply.value)
    return Err({"code": reply.error.code, "message": reply.error.message})


def _logged(run: Run, name: str, arguments: tuple[Any, ...]) -> None:
    run.log(Call(name, list(arguments)))
