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


@pytest.fixture(scope="session")
def manifest(tmp_path_factory):
    """The manifest that `onecopy agent init code-review` writes."""
    from onecopy.agents.code_review.setup import files
    from onecopy.agents.manifest import Manifest

    written = files(github="https://api.github.test", llm="https://llm.test/v1", model="m")
    return Manifest.parse(written["agent.toml"], tmp_path_factory.mktemp("manifest"))


@pytest.fixture
def granted(manifest):
    """Refuses requests as the real host does: no test of the bot needs more than its manifest."""
    from onecopy_agent import NotGranted

    from onecopy.agents.grants.http.http import allows
    from onecopy.agents.manifest.url import Url

    def check(sent):
        fields = {"repo": "octo/hello", "number": "7"}
        url = Url.parse(sent.url)
        if not any(allows(each, sent.method, url, fields) for each in manifest.grants.http):
            raise NotGranted(f"{sent.method} {sent.url}")

    return check


@pytest.fixture
def host(github, granted):
    """A host whose HTTP is the GitHub in memory, and whose model finds nothing unless told to."""
    from onecopy_agent.testing import Host

    def serve(sent):
        granted(sent)
        return github.serve(sent)

    with Host() as host:
        host.http.serve(serve)
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


LABELS = {"low": "risk-low", "medium": "risk-medium", "high": "risk-high"}


def says(host, *findings, **more):
    """Have the model answer so from now on."""
    host.llm.serve(lambda request: json.dumps(answer(*findings, **more)))


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
