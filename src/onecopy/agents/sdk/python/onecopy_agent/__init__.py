"""What agents are written with: the host's functions, typed, with errors as exceptions.

    from onecopy_agent import http, llm, log

    def handle(event):
        page = http.get(event.settings["page"]).text
        return {"summary": llm.chat("Summarise:\\n" + page).text}

Everything needs a grant in agent.toml; what has none raises `NotGranted`, and the text says which
line is missing. Pure Python; `onecopy_agent.testing` runs agents outside of WebAssembly.
"""

from onecopy_agent import entries, http, kv, llm, log, memory, plan, tools
from onecopy_agent.entry import Event, agent
from onecopy_agent.errors import (
    AgentError,
    BudgetExceeded,
    Failed,
    GiveUp,
    Invalid,
    NotFound,
    NotGranted,
    Retry,
    Timeout,
    TooLarge,
    Unavailable,
)
from onecopy_agent.tools import tool

__all__ = [
    "http",
    "llm",
    "kv",
    "memory",
    "tools",
    "entries",
    "log",
    "plan",
    "agent",
    "tool",
    "Event",
    "AgentError",
    "NotGranted",
    "Invalid",
    "BudgetExceeded",
    "Timeout",
    "Unavailable",
    "TooLarge",
    "NotFound",
    "Failed",
    "Retry",
    "GiveUp",
]
