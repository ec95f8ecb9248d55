"""Endpoints that are slow, busy, cut off, or say what is no answer."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onecopy.agents.calls import INVALID, TIMEOUT, TOO_LARGE, UNAVAILABLE, Refused
from onecopy.agents.grants.http.client import Client
from onecopy.agents.grants.llm.answer import ANSWER_BYTES
from onecopy.agents.grants.llm.budget import Spending, Usage
from onecopy.agents.grants.llm.endpoint import ATTEMPTS, Endpoint
from onecopy.agents.grants.llm.failures import seconds_of
from onecopy.agents.grants.llm.llm import Llm
from onecopy.agents.manifest.grants import LlmGrant, Price
from tests.agents.grants.llm.servers import (
    DONE,
    HELLO,
    SSE,
    Said,
    Server,
    delta,
    event,
    serving,
    split,
    usage,
)

KEY = "sk-very-secret"
REQUEST = json.dumps({"messages": [{"role": "user", "content": "Hello"}]})


class Asked:
    """One run's model, and what came of it."""

    def __init__(self, client: Client, server: Server, **fields: Any) -> None:
        self.waits: list[float] = []
        self.usage: list[Usage] = []
        price = Price(input=1, output=4)
        grant = LlmGrant(url=server.url, models=("m",), private=True, price=price, **fields)
        endpoint = Endpoint(
            client, server.url, key=KEY, private=True, seconds=60, sleep=self._sleep
        )
        self.llm = Llm(grant, endpoint, Spending(), self.usage.append)

    async def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)

    async def chat(self, request: str = REQUEST) -> dict[str, Any]:
        return json.loads(await self.llm.call("chat", [request]))

    async def answer_or_code(self) -> dict[str, Any] | str:
        try:
            return await self.chat()
        except Refused as refused:
            return refused.refusal.code

    async def refusal(self, request: str = REQUEST) -> tuple[str, str]:
        with pytest.raises(Refused) as caught:
            await self.chat(request)
        assert KEY not in caught.value.refusal.message
        return caught.value.refusal.code, caught.value.refusal.message


def run(play: Any, *says: Said, **fields: Any) -> Any:
    async def main() -> Any:
        client = Client()
        try:
            async with serving(*says) as server:
                return await play(Asked(client, server, **fields), server)
        finally:
            await client.close()

    return asyncio.run(main())


def test_a_stream_is_put_together_again() -> None:
    async def play(asked: Asked, server: Server) -> None:
        answer = await asked.chat()
        assert answer["choices"] == [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello ü", "refusal": None},
                "finish_reason": "stop",
            }
        ]
        assert answer["usage"] == {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
        assert asked.usage == [Usage("m", 7, 3, 19e-6, False)]
        headers, body = server.requests[0]
        assert headers["Authorization"] == f"Bearer {KEY}"
        assert body["stream"] is True
        assert body["max_tokens"] == 16384

    run(play)


def test_calls_of_tools_are_put_together_from_their_pieces() -> None:
    def call(index: int, **function: str) -> dict[str, Any]:
        return {"index": index, "type": "function", "function": function}

    stream = [
        delta(tool_calls=[{**call(0, name="add", arguments=""), "id": "c0"}]),
        delta(tool_calls=[call(0, arguments='{"a":')]),
        delta(tool_calls=[call(1, name="now", arguments="{}"), call(0, arguments=" 1}")]),
        delta("tool_calls"),
        DONE,
    ]

    async def play(asked: Asked, server: Server) -> None:
        choice = (await asked.chat())["choices"][0]
        assert choice["finish_reason"] == "tool_calls"
        assert choice["message"]["content"] is None
        assert choice["message"]["tool_calls"] == [
            {
                "id": "c0",
                "type": "function",
                "function": {"name": "add", "arguments": '{"a": 1}'},
            },
            {"id": "call_1", "type": "function", "function": {"name": "now", "arguments": "{}"}},
        ]

    run(play, Said(stream))


def test_tokens_that_an_endpoint_does_not_count_are_estimated_and_marked() -> None:
    async def play(asked: Asked, server: Server) -> None:
        answer = await asked.chat()
        assert answer["usage"]["estimated"] is True
        assert answer["usage"]["completion_tokens"] == 2
        (used,) = asked.usage
        assert used.estimated
        assert used.input_tokens >= 10

    run(play, Said([delta(content="Hello"), delta("stop"), DONE]))


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 529])
def test_what_may_pass_is_tried_again(status: int) -> None:
    busy = Said([b'{"error": {"message": "busy"}}'], status, ())

    async def play(asked: Asked, server: Server) -> None:
        assert (await asked.chat())["choices"]
        assert asked.waits == [0.5, 1.0]
        assert len(asked.usage) == 1

    run(play, busy, busy, Said())


def test_it_is_given_up_after_some_attempts() -> None:
    async def play(asked: Asked, server: Server) -> None:
        code, message = await asked.refusal()
        assert code == UNAVAILABLE
        assert "busy" in message
        assert len(server.requests) == ATTEMPTS
        assert asked.usage == []

    run(play, Said([b'{"error": {"message": "busy"}}'], 429, ()))


def test_an_endpoint_says_when_to_ask_again() -> None:
    async def play(asked: Asked, server: Server) -> None:
        await asked.chat()
        assert asked.waits == [2.5, 0.0]

    run(
        play,
        Said([], 429, ("Retry-After: 2.5",)),
        Said([], 503, ("Retry-After: Fri, 01 Jan 2021 00:00:00 GMT",)),
        Said(),
    )


def test_it_is_not_waited_for_beyond_the_time_of_the_call() -> None:
    async def play(asked: Asked, server: Server) -> None:
        code, message = await asked.refusal()
        assert code == UNAVAILABLE
        assert "after 86400 s" in message
        assert asked.waits == []

    run(play, Said([], 429, ("Retry-After: 86400",)))


def test_dates_and_numbers_are_understood() -> None:
    later = datetime.now(timezone.utc) + timedelta(hours=1)
    assert 3500 < (seconds_of(format_datetime(later)) or 0) <= 3600
    assert seconds_of("-5") == 0.0
    for nonsense in ("", "soon", "nan", "inf", "1 2 3"):
        assert seconds_of(nonsense) is None


@pytest.mark.parametrize(
    "said",
    [
        Said([], cut=True),
        Said([b"data: "], cut=True),
        Said([delta(role="assistant", content="")], cut=True),
        Said([delta(role="assistant", content="")]),
        Said([event(error={"message": "overloaded"})]),
        Said([b"data: what\n\n"]),
    ],
)
def test_what_breaks_off_before_the_first_token_is_tried_again(said: Said) -> None:
    async def play(asked: Asked, server: Server) -> None:
        assert (await asked.chat())["choices"][0]["message"]["content"] == "Hello ü"
        assert len(server.requests) == 2

    run(play, said, Said())


@pytest.mark.parametrize("cut", [True, False])
def test_what_breaks_off_later_is_refused_and_counted(cut: bool) -> None:
    async def play(asked: Asked, server: Server) -> None:
        assert (await asked.refusal())[0] == UNAVAILABLE
        assert len(server.requests) == 1
        (used,) = asked.usage
        assert used.estimated
        assert used.output_tokens == 1

    run(play, Said([delta(content="Hel")], cut=cut))


@settings(max_examples=60, deadline=None)
@given(
    length=st.integers(0, len(HELLO)),
    places=st.lists(st.integers(0, len(HELLO)), max_size=8),
    cut=st.booleans(),
)
def test_a_stream_cut_at_any_byte_gives_the_full_answer_or_a_refusal(
    length: int, places: list[int], cut: bool
) -> None:
    async def play(asked: Asked, server: Server) -> None:
        answer = await asked.answer_or_code()
        if isinstance(answer, str):
            assert answer == UNAVAILABLE
            assert length < len(HELLO)
        else:
            assert answer["choices"][0]["message"]["content"] == "Hello ü"
            assert answer["choices"][0]["finish_reason"] == "stop"

    run(play, Said(split(HELLO[:length], places), cut=cut))


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (Said([b"{}"], headers=("Content-Type: application/json",)), UNAVAILABLE),
        (Said([b"<html>"], headers=("Content-Type: text/html",)), UNAVAILABLE),
        (Said([b"x"], headers=()), UNAVAILABLE),
        (Said([delta("stop"), DONE]), UNAVAILABLE),
        (Said([delta("length"), DONE]), UNAVAILABLE),
        (Said([delta(content="a") + b"data: {]\n\n" + DONE]), UNAVAILABLE),
        (Said([delta(content="a"), event(choices="none"), DONE]), UNAVAILABLE),
        (Said([delta(content="a"), b"data: \xff\n\n", DONE]), UNAVAILABLE),
        (Said([delta(content="a"), usage(-5, 3), delta("stop"), DONE]), UNAVAILABLE),
        (Said([delta(content="a"), event(error=f"broken {KEY}"), DONE]), UNAVAILABLE),
        (Said([delta(tool_calls=[{"index": 0, "function": {}}]), delta("stop")]), UNAVAILABLE),
        (Said([delta(tool_calls=[{"index": 1 << 40}]), delta("stop")]), TOO_LARGE),
        (Said([b"data: " + b"x" * (2 << 20)]), TOO_LARGE),
        (Said([delta(content="x" * 500_000)] * (ANSWER_BYTES // 500_000 + 1)), TOO_LARGE),
        (Said([b'{"error": {"message": "bad"}}'], 400, ()), INVALID),
        (Said([b'{"error": {"code": "context_length_exceeded"}}'], 400, ()), TOO_LARGE),
        (Said([b"no " + KEY.encode()], 401, ()), UNAVAILABLE),
        (Said([b"\xff\0" * 5000], 404, ()), UNAVAILABLE),
        (Said([b"[1]"], 418, ()), UNAVAILABLE),
        (Said([b"{}"], 413, ()), TOO_LARGE),
        (Said([], 302, ("Location: https://evil.example/",)), UNAVAILABLE),
    ],
)
def test_what_is_no_answer_is_refused_and_not_tried_again(said: Said, expected: str) -> None:
    async def play(asked: Asked, server: Server) -> None:
        code, message = await asked.refusal()
        assert code == expected
        assert len(message) < 600
        assert message.isprintable()
        assert len(server.requests) in (1, ATTEMPTS if b"x" * 99 in b"".join(said.pieces) else 1)

    run(play, said)


def test_a_slow_answer_is_ended_and_what_came_is_counted() -> None:
    async def play(asked: Asked, server: Server) -> None:
        assert (await asked.refusal())[0] == TIMEOUT
        (used,) = asked.usage
        assert (used.estimated, used.output_tokens) == (True, 1)

    run(play, Said([delta(content="Hel")], hangs=True), timeout=0.3)


def test_an_answer_whose_stream_does_not_end_is_an_answer() -> None:
    async def play(asked: Asked, server: Server) -> None:
        assert (await asked.chat())["choices"][0]["message"]["content"] == "Hi"

    run(play, Said([delta(content="Hi"), delta("stop")], hangs=True), timeout=0.3)


def test_a_run_that_is_ended_meanwhile_has_counted_what_came() -> None:
    async def play(asked: Asked, server: Server) -> None:
        task = asyncio.create_task(asked.chat())
        await server.arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(play, Said([delta(content="Hel")], hangs=True))


def test_nobody_who_answers_is_a_refusal() -> None:
    async def main() -> None:
        client = Client()
        async with serving() as server:
            asked = Asked(client, server)
        assert (await asked.refusal())[0] == UNAVAILABLE
        assert len(asked.waits) == ATTEMPTS - 1
        await client.close()

    asyncio.run(main())


def test_newer_models_want_another_name_of_the_limit() -> None:
    text = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
    error = Said([json.dumps({"error": {"message": text}}).encode()], 400, ())

    async def play(asked: Asked, server: Server) -> None:
        for _ in range(2):
            await asked.chat()
        bodies = [body for _, body in server.requests]
        assert [("max_tokens" in each) for each in bodies] == [True, False, False]
        assert bodies[2]["max_completion_tokens"] == 16384

    run(play, error, Said())


def test_an_endpoint_that_knows_no_options_of_streams_is_asked_without() -> None:
    error = Said([b'{"detail": "extra fields: stream_options"}'], 422, ())

    async def play(asked: Asked, server: Server) -> None:
        await asked.chat()
        assert "stream_options" not in server.requests[1][1]

    run(play, error, Said())
    run(lambda asked, _: asked.refusal(), error)


def test_budgets_are_checked_before_and_counted_after() -> None:
    async def play(asked: Asked, server: Server) -> None:
        code, message = await asked.refusal(REQUEST.replace("Hello", "Hello " * 200))
        assert code == "budget"
        assert "[grants.llm]" in message
        assert not server.requests
        while isinstance(answer := await asked.answer_or_code(), dict):
            pass
        assert answer == "budget"
        assert len(server.requests) == len(asked.usage)
        assert sum(used.input_tokens + used.output_tokens for used in asked.usage) <= 200
        assert [body["max_tokens"] for _, body in server.requests] == sorted(
            (body["max_tokens"] for _, body in server.requests), reverse=True
        )

    run(play, tokens=200)


def test_headers_of_the_stream_are_read_whatever_their_case() -> None:
    async def play(asked: Asked, server: Server) -> None:
        assert (await asked.chat())["choices"]

    run(play, Said(headers=(SSE.lower() + "; charset=utf-8",)))
