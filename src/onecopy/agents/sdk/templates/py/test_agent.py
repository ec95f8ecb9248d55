"""The agent's logic, tested without WebAssembly: `pytest`."""

import json
import sys
from pathlib import Path

from onecopy.agents import sdk

sdk.importable()
sys.path.insert(0, str(Path(__file__).parent))

from onecopy_agent.testing import Host

import agent

EVENT = json.loads((Path(__file__).parent / "event.json").read_text())


def test_questions_are_counted():
    event = {"kind": "question", "payload": EVENT, "settings": {"greeting": "Hello"}}
    with Host() as host:
        first, second = host.run(agent.handle, event), host.run(agent.handle, event)
    assert first == {"answer": "Hello, Ada!", "questions": 1}
    assert second["questions"] == 2
    assert ("info", "question 2 of Ada") in host.log
