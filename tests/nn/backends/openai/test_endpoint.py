from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onecopy import InferenceFailed, InvalidArgument, ModelBusy, PromptTooLong

pytest.importorskip("httpx")

from onecopy.nn.backends.openai.endpoint import Endpoint, _lines
from tests.nn.backends.openai.endpoint import DONE, Server, begin, event, plain, serving, stream


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture
def endpoint(server: Server) -> Iterator[Endpoint]:
    endpoint = Endpoint(server.url, key="secret-key")
    yield endpoint
    endpoint.close()
    endpoint.close()


def asked(endpoint: Endpoint) -> list[bytes]:
    return list(endpoint.stream("chat/completions", {"a": 1}))


def test_a_request_has_the_key_and_its_body(server: Server, endpoint: Endpoint) -> None:
    server.answer = plain(200, b"answer")
    assert endpoint.ask("embeddings", {"input": "köln"}) == b"answer"
    [(path, headers, body)] = server.requests
    assert path == "/v1/embeddings"
    assert headers["Authorization"] == "Bearer secret-key"
    assert body == {"input": "köln"}


def test_without_a_key_none_is_sent(server: Server) -> None:
    endpoint = Endpoint(server.url)
    server.answer = plain(200, b"answer")
    endpoint.ask("embeddings", {})
    assert "Authorization" not in server.requests[0][1]
    endpoint.close()


def test_events_come_one_by_one_until_the_last(server: Server, endpoint: Endpoint) -> None:
    server.answer = stream(b": hello\n\nevent: x\nid: 3\n", event(1), event(2), DONE, event(3))
    assert asked(endpoint) == [b"1", b"2"]


@given(st.lists(st.binary(max_size=6).filter(lambda line: b"\n" not in line)), st.data())
def test_lines_do_not_depend_on_how_they_arrive(lines: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(line + b"\n" for line in lines)
    pieces = []
    while whole:
        size = data.draw(st.integers(1, len(whole)))
        pieces.append(whole[:size])
        whole = whole[size:]
    assert list(_lines(iter(pieces))) == [line.rstrip(b"\r") for line in lines]


@pytest.mark.parametrize(
    ("status", "error", "text"),
    [
        (401, InferenceFailed, "api_key_env"),
        (403, InferenceFailed, "api_key_env"),
        (404, InferenceFailed, "404"),
        (302, InferenceFailed, "302"),
        (500, InferenceFailed, "500"),
        (502, InferenceFailed, "502"),
        (429, ModelBusy, "later"),
        (503, ModelBusy, "later"),
        (400, InvalidArgument, "message of the endpoint"),
        (422, InvalidArgument, "message of the endpoint"),
    ],
)
def test_refusals_are_typed(
    server: Server, endpoint: Endpoint, status: int, error: type, text: str
) -> None:
    body = b'{"error": {"code": null, "message": "message of the endpoint"}}'
    server.answer = plain(status, body, Location="http://127.0.0.1:1/elsewhere")
    for ask in (asked, lambda endpoint: endpoint.ask("embeddings", {})):
        with pytest.raises(error, match=text) as caught:
            ask(endpoint)
        assert type(caught.value) is error
        assert "message of the endpoint" in str(caught.value)


@pytest.mark.parametrize(
    ("after", "text"), [("7", "after 7 s"), ("Wed, 21 Oct 2026 07:28:00 GMT", "after Wed")]
)
def test_an_endpoint_that_is_busy_says_until_when(
    server: Server, endpoint: Endpoint, after: str, text: str
) -> None:
    server.answer = plain(429, b"{}", Retry_After=after)
    with pytest.raises(ModelBusy, match=text):
        asked(endpoint)


@pytest.mark.parametrize(
    "body",
    [
        b'{"error": {"code": "context_length_exceeded", "message": "too much"}}',
        b'{"error": {"message": "This model\'s maximum context length is 8192 tokens"}}',
        b'{"error": {"type": "x", "message": "exceed_context_size_error"}}',
    ],
)
def test_a_prompt_that_does_not_fit_is_too_long(
    server: Server, endpoint: Endpoint, body: bytes
) -> None:
    server.answer = plain(400, body)
    with pytest.raises(PromptTooLong):
        asked(endpoint)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'{"error": "text"}', b'{"error": 5}', b"\xff" * 100_000, b"<html>\x00\x1b"],
)
def test_refusals_of_any_form_are_shown_in_one_short_line(
    server: Server, endpoint: Endpoint, body: bytes
) -> None:
    server.answer = plain(500, body)
    with pytest.raises(InferenceFailed) as caught:
        asked(endpoint)
    assert len(str(caught.value)) < 500
    assert str(caught.value).isprintable()


def test_the_key_is_in_no_error(server: Server, endpoint: Endpoint) -> None:
    server.answer = plain(401, b'{"error": {"message": "Incorrect key: secret-key"}}')
    with pytest.raises(InferenceFailed) as caught:
        asked(endpoint)
    assert "secret-key" not in str(caught.value)
    assert "Incorrect key: ***" in str(caught.value)


def test_an_answer_that_is_no_stream_is_a_failure(server: Server, endpoint: Endpoint) -> None:
    server.answer = plain(200, b"{}", Content_Type="application/json")
    with pytest.raises(InferenceFailed, match="not as a stream"):
        asked(endpoint)


def test_a_compressed_answer_is_a_failure(server: Server, endpoint: Endpoint) -> None:
    server.answer = stream(b"x", Content_Encoding="gzip")
    with pytest.raises(InferenceFailed, match="compressed"):
        asked(endpoint)


def test_an_answer_that_is_cut_off_is_a_failure(server: Server, endpoint: Endpoint) -> None:
    def answer(request) -> None:
        request.send_response(200)
        request.send_header("Content-Type", "text/event-stream")
        request.send_header("Content-Length", "1000")
        request.end_headers()
        request.wfile.write(event(1))

    server.answer = answer
    found = endpoint.stream("chat/completions", {})
    assert next(found) == b"1"
    with pytest.raises(InferenceFailed):
        next(found)


def test_what_is_no_http_is_a_failure(server: Server, endpoint: Endpoint) -> None:
    server.answer = lambda request: request.wfile.write(b"SSH-2.0-nonsense\r\n\r\n")
    with pytest.raises(InferenceFailed):
        asked(endpoint)


def test_a_huge_answer_is_cut_off(server: Server) -> None:
    endpoint = Endpoint(server.url, max_nbytes=100_000)

    def answer(request) -> None:
        begin(request)
        while True:  # Until the client has gone.
            request.wfile.write(b"data: " + b"x" * 10_000)

    server.answer = answer
    with pytest.raises(InferenceFailed, match="max_nbytes"):
        asked(endpoint)
    with pytest.raises(InferenceFailed, match="max_nbytes"):
        endpoint.ask("embeddings", {})
    endpoint.close()


def test_an_answer_that_takes_long_is_cut_off(server: Server) -> None:
    endpoint = Endpoint(server.url, total_timeout=1e-9)
    server.answer = stream(event(1), DONE)
    with pytest.raises(InferenceFailed, match="total_timeout"):
        asked(endpoint)
    endpoint.close()


@pytest.mark.parametrize("first", [False, True])
def test_an_endpoint_that_is_silent_is_given_up(server: Server, first: bool) -> None:
    endpoint = Endpoint(server.url, timeout=0.1)

    def answer(request) -> None:
        if first:
            begin(request)
            request.wfile.write(event(1))
            request.wfile.flush()
        server.ended.wait()

    server.answer = answer
    with pytest.raises(InferenceFailed, match="raise timeout"):
        asked(endpoint)
    endpoint.close()


def test_an_endpoint_that_is_not_there_is_a_failure() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    endpoint = Endpoint(f"http://127.0.0.1:{port}/v1")
    with pytest.raises(InferenceFailed, match=str(port)):
        asked(endpoint)
    endpoint.close()


def test_closing_a_stream_ends_the_connection(server: Server, endpoint: Endpoint) -> None:
    def answer(request) -> None:
        begin(request)
        while not server.ended.is_set():
            request.wfile.write(event("x" * 1000))

    server.answer = answer
    found = endpoint.stream("chat/completions", {})
    next(found)
    found.close()
    assert server.ended.wait(60)
