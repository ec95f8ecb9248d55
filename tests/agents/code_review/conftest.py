"""Fixtures: the bot as plain Python, a GitHub in memory, and a model that a test speaks for."""

from __future__ import annotations

import json
import sys

import pytest

from onecopy.agents import sdk
from onecopy.agents.code_review.setup import GUEST

sdk.importable()
if str(GUEST) not in sys.path:
    sys.path.append(str(GUEST))


@pytest.fixture
def github():
    from tests.agents.code_review.memory_github import MemoryGitHub

    return MemoryGitHub()


@pytest.fixture
def host(github):
    """A host whose HTTP is the GitHub in memory, and whose model finds nothing unless told to."""
    from onecopy_agent.testing import Host

    with Host() as host:
        host.http.serve(github.serve)
        host.llm.serve(lambda request: json.dumps(answer()))
        yield host


@pytest.fixture
def bot(host, github):
    """Calls the bot with an event: `bot("pull_request.synchronize", attempt=2)`."""
    from review_bot.bot import handle

    def call(kind="pull_request.opened", payload=None, settings=None, **more):
        event = {
            "id": f"event-{len(host.calls)}",
            "agent": "code-review",
            "trigger": "webhook",
            "kind": kind,
            "subject": "octo/hello#7",
            "fields": {"repo": "octo/hello", "number": "7"},
            "payload": payload or {},
            "settings": {"github": github.api, "model": "m", **(settings or {})},
            **more,
        }
        return host.run(handle, event)

    return call


def answer(*findings, **more):
    """What a model answers."""
    told = {"summary": "It adds a line.", "changes": ["One line."], "risks": [], "risk": "low"}
    return {**told, "findings": list(findings), **more}


def finding(line, path="app.py", **more):
    """A finding as a model has it."""
    told = {
        "severity": "high",
        "title": "It fails",
        "detail": "On an empty list.",
        "suggestion": "",
    }
    return {"path": path, "line": line, "side": "RIGHT", **told, **more}


def comment_event(body="@review-bot please", login="ada", kind="User", id=501):
    """The payload of a comment."""
    return {
        "action": "created",
        "comment": {"id": id, "body": body, "user": {"login": login, "type": kind}},
    }
