"""An agent in Python: what it finds around itself, and its values on their way."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from onecopy.agents.calls import Call, Refusal, Reply
from onecopy.agents.outcome import FAILED, OK, Outcome
from onecopy.agents.worker.pool import Workers
from onecopy.agents.worker.start import Start
from tests.agents.worker.hosts import Scripted

START = Start(b"seed", 1_700_000_000_000_000_000)


class Answers:
    """Answers by the name of the call."""

    def __init__(self, **answers: Reply) -> None:
        self.answers = answers
        self.calls: list[Call] = []

    async def answer(self, call: Call) -> Reply:
        self.calls.append(call)
        return self.answers.get(call.name.replace(".", "_"), Reply())


@pytest.fixture(scope="module")
def pool(python_agent, shared_folder):
    """Workers for all tests here; `run` is theirs, waited for."""
    loop = asyncio.new_event_loop()
    pool = Workers(python_agent, name="tested", cache=shared_folder / "onecopy/modules")
    yield lambda *given: loop.run_until_complete(pool.run(*given))
    loop.run_until_complete(pool.close())
    loop.close()


@pytest.fixture
def run(pool):
    """Has the agent do something, by a host."""

    def run(do: str, host: Any, **given: Any) -> Outcome:
        return pool(json.dumps({"do": do, "with": given}), host, START)

    return run


def test_values_of_all_types_pass_both_ways(run):
    hit = {"id": "1", "text": "t", "metadata": "{}", "score": 0.5}
    host = Answers(
        http_send=Reply({"status": 201, "headers": [["x", "y"]], "body": "ß"}),
        memory_search=Reply([hit, hit]),
        kv_keys=Reply(["a", ""]),
    )
    outcome = run("values", host)
    assert json.loads(outcome.text) == {
        "status": 201,
        "headers": [["x", "y"]],
        "body": "ß",
        "hits": [["1", "t", 0.5]] * 2,
        "none": None,
        "keys": ["a", ""],
    }
    request = {"method": "GET", "url": "http://x/ä", "headers": [["a", "b"], ["c", ""]]}
    assert host.calls == [
        Call("http.send", [{**request, "body": None}]),
        Call("memory.search", ["notes", "what?", 3]),
        Call("kv.set", ["conversation", "key", "value"]),
        Call("kv.get", ["agent", "missing"]),
        Call("kv.keys", ["agent", ""]),
    ]


def test_a_refusal_is_an_error_of_the_call(run):
    host = Answers(kv_get=Reply(error=Refusal("budget", "raise it")))
    assert json.loads(run("error", host).text) == ["budget", "raise it"]


def test_it_has_no_files_arguments_environment_or_network(run):
    found = json.loads(run("surroundings", Scripted()).text)
    assert found["argv"] == []
    assert found["environ"] == {}
    assert set(found["reached"].values()) <= {"FileNotFoundError", "PermissionError"}


def test_what_it_prints_is_in_the_log(run):
    host = Scripted()
    run("say", host, text="said")
    assert host.calls == [
        Call("log.write", ["info", "said"]),
        Call("log.write", ["warning", "said"]),
        Call("log.write", ["debug", "said"]),
        Call("log.write", ["info", "unfinished"]),
    ]


def test_its_clock_stands_still_between_calls_of_the_host(run):
    at = [START.time_ns + seconds * 1_000_000_000 for seconds in (10, 5, 20)]
    replies = iter(at)

    class Timed:
        async def answer(self, call: Call) -> Reply:
            return Reply(time_ns=next(replies))

    seen = json.loads(run("clocks", Timed(), asks=3).text)[::2]
    # An answer whose time is before that of the last one does not set it back.
    assert [each[0] * 1e9 - START.time_ns for each in seen] == [0, 10e9, 10e9]
    assert [each[1] for each in seen] == [1, 11, 11]


def test_a_sleep_moves_its_clock_by_what_was_asked_for(run):
    assert float(run("nap", Scripted(), seconds=0.125).text) == 0.125


def test_an_exception_fails_the_run_with_its_traceback(run):
    outcome = run("raises", Scripted())
    assert outcome.status == FAILED
    assert "ValueError: on purpose" in outcome.text


@pytest.mark.parametrize(
    ("do", "given", "text"),
    [
        ("deep", {"depth": 100_000}, "RecursionError"),
        ("allocate", {"nbytes": 100 << 20}, "MemoryError"),
        ("leave", {}, "exit"),
    ],
)
def test_what_breaks_the_interpreter_fails_the_run(run, do, given, text):
    outcome = run(do, Scripted(), **given)
    assert outcome.status == FAILED
    assert text in outcome.text


def test_its_memory_counts_what_it_touches(run):
    nbytes = 20 << 20
    outcome = run("allocate", Scripted(), nbytes=nbytes)
    assert outcome.status == OK
    assert nbytes < outcome.memory < nbytes + (16 << 20)
