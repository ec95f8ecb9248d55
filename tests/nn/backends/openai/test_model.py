from __future__ import annotations

from collections.abc import Iterator

import pytest

from onecopy import (
    ContextFull,
    EndOfSequence,
    InferenceFailed,
    InvalidArgument,
    UnsupportedOperation,
)
from onecopy.nn.backends.backend import Source
from onecopy.nn.backends.openai.backend import OpenAi
from tests.nn.backends.openai.endpoint import (
    DONE,
    Server,
    begin,
    event,
    finished,
    plain,
    said,
    serving,
    stream,
)

pytest.importorskip("httpx")


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        server.answer = stream(said("Hel"), said("lo"), finished(), DONE)
        yield server


@pytest.fixture
def load(server: Server):
    models = []

    def load(**options):
        known = {"base_url": server.url, "model": "tiny", **options}
        models.append(OpenAi().load(Source(backend="openai", options=known)))
        return models[-1]

    yield load
    for model in models:
        model.close()


def generate(session, prompt: bytes = b"hi", **options) -> list[bytes]:
    session.begin(prompt, {name.replace("_", "-"): value for name, value in options.items()})
    pieces = []
    while True:
        try:
            pieces.append(session.advance())
        except EndOfSequence:
            return pieces


def test_a_text_comes_piece_by_piece(load) -> None:
    model = load()
    assert model.concurrent
    session = model.session({})
    assert generate(session) == [b"Hel", b"lo"]
    with pytest.raises(EndOfSequence):
        session.advance()


def test_a_chat_sends_the_prompt_as_a_message_and_only_what_was_said(load, server: Server) -> None:
    generate(load().session({}), "köln".encode())
    assert server.requests[0][0] == "/v1/chat/completions"
    assert server.body == {
        "model": "tiny",
        "stream": True,
        "stream_options": {"include_usage": True},
        "messages": [{"role": "user", "content": "köln"}],
    }


def test_a_host_may_add_a_system_message_and_fields(load, server: Server) -> None:
    generate(load(system="Be short.", extra={"top_k": 5}).session({}))
    assert server.body["messages"][0] == {"role": "system", "content": "Be short."}
    assert server.body["top_k"] == 5


def test_completions_continue_the_prompt(load, server: Server) -> None:
    text = event({"choices": [{"text": "abc", "finish_reason": "stop"}]})
    server.answer = stream(text, DONE)
    assert generate(load(api="completions").session({})) == [b"abc"]
    assert server.requests[0][0] == "/v1/completions"
    assert server.body["prompt"] == "hi"


def test_options_have_the_endpoints_names(load, server: Server) -> None:
    model = load(temp=0.5, max_tokens_name="max_completion_tokens")
    session = model.session({"top-p": 0.9, "seed": 3})
    generate(session, n_predict=20, presence_penalty=0.1, frequency_penalty=0.2, top_k=4)
    expected = {"temperature": 0.5, "top_p": 0.9, "seed": 3, "max_completion_tokens": 20}
    expected |= {"presence_penalty": 0.1, "frequency_penalty": 0.2}
    assert server.body | expected == server.body
    assert "top_k" not in server.body
    generate(session, seed=-1, reverse_prompt="END")
    assert "seed" not in server.body
    assert server.body["stop"] == ["END"]


def test_a_schema_is_the_format_of_the_answer(load, server: Server) -> None:
    schema = {"type": "object"}
    for given in (schema, '{"type": "object"}'):
        generate(load().session({}), json_schema=given)
        found = server.body["response_format"]
        assert found == {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    with pytest.raises(InvalidArgument, match="json-schema"):
        load().session({"json-schema": "{"})


@pytest.mark.parametrize("options", [{"grammar": 'root ::= "a"'}, {"guide": "x"}])
def test_what_endpoints_have_no_word_for_is_refused(load, options: dict) -> None:
    with pytest.raises(UnsupportedOperation):
        load().session(options)


def test_guests_choose_neither_the_address_nor_the_model(load, server: Server) -> None:
    said = {"base_url": "http://127.0.0.1:1", "model": "other", "api_key_env": "HOME", "extra": {}}
    session = load().session(dict(said))
    session.begin(b"hi", said)
    assert session.advance() == b"Hel"
    assert server.body["model"] == "tiny"
    session.close()


def test_metadata_has_the_endpoints_counts(load, server: Server) -> None:
    usage = event({"choices": [], "usage": {"prompt_tokens": 12, "completion_tokens": 34}})
    server.answer = stream(said("a"), finished(), usage, DONE)
    session = load().session({})
    session.begin(b"hi", {})
    session.advance()
    assert session.metadata()["output_tokens"] == 1
    with pytest.raises(EndOfSequence):
        session.advance()
    assert session.metadata() == {
        "input_tokens": 12,
        "output_tokens": 34,
        "llama_build_number": 0,
        "llama_commit": "",
    }


def test_an_endless_stream_ends_with_n_predict(load, server: Server) -> None:
    def answer(request) -> None:
        begin(request)
        while not server.ended.is_set():
            request.wfile.write(said("x"))

    server.answer = answer
    assert generate(load().session({}), n_predict=7) == [b"x"] * 7
    assert server.ended.wait(60)


def test_nothing_is_asked_for_no_token(load, server: Server) -> None:
    assert generate(load().session({}), n_predict=0) == []
    assert server.requests == []


def test_sessions_take_turns(load, server: Server) -> None:
    model = load()
    sessions = [model.session({}) for _ in range(3)]
    for each in sessions:
        each.begin(b"hi", {})
    assert [each.advance() for each in sessions] == [b"Hel"] * 3
    assert [each.advance() for each in sessions] == [b"lo"] * 3
    for each in sessions:
        each.close()


def test_a_character_may_come_in_two_writes(load, server: Server) -> None:
    data = said("ö😀")
    start = data.index("ö".encode())
    for cut in (1, *range(start + 1, start + 6)):
        server.answer = stream(data[:cut], data[cut:], finished(), DONE)
        assert generate(load().session({})) == ["ö😀".encode()]


def test_a_text_that_found_no_more_room_is_a_full_context(load, server: Server) -> None:
    server.answer = stream(said("a"), finished("length"), DONE)
    session = load().session({})
    assert generate(session, n_predict=1) == [b"a"]
    session.begin(b"hi", {})
    session.advance()
    with pytest.raises(ContextFull):
        session.advance()


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ((said("a"),), "broke off"),
        ((said("a"), b"data: {nonsense\n\n"), "cannot be read"),
        ((said("a"), b"data: \xff\xfe\n\n"), "cannot be read"),
        ((said("a"), event({"choices": 5})), "cannot be read"),
        ((said("a"), b"data: " + b"[" * 50_000 + b"\n\n"), "cannot be read"),
        ((said("a"), event({"error": {"message": "overloaded"}})), "overloaded"),
        ((said("a"), finished("content_filter"), DONE), "withheld"),
    ],
)
def test_a_stream_that_breaks_fails_that_text_alone(
    load, server: Server, parts: tuple[bytes, ...], text: str
) -> None:
    whole = server.answer
    server.answer = stream(*parts)
    session = load().session({})
    session.begin(b"hi", {})
    assert session.advance() == b"a"
    for _ in range(2):
        with pytest.raises(InferenceFailed, match=text):
            session.advance()
    server.answer = whole
    assert generate(session) == [b"Hel", b"lo"]


def test_without_a_prompt_there_is_no_text(load) -> None:
    session = load().session({})
    with pytest.raises(InvalidArgument, match="no prompt"):
        session.advance()
    with pytest.raises(InvalidArgument, match="UTF-8"):
        session.begin(b"\xff", {})
    session.begin(b"hi", {})
    session.close()
    session.close()
    with pytest.raises(InvalidArgument, match="no prompt"):
        session.advance()


def test_an_embedding_is_the_endpoints(load, server: Server) -> None:
    server.answer = plain(200, b'{"data": [{"index": 0, "embedding": [0.5, -1, 2e-3]}]}')
    assert load().embed("köln".encode(), {"embedding": True}) == [0.5, -1.0, 0.002]
    assert server.requests[0][0] == "/v1/embeddings"
    assert server.body == {"model": "tiny", "input": "köln"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b'{"data": []}',
        b'{"data": [{"embedding": []}]}',
        b'{"data": [{"embedding": [1, "x"]}]}',
        b'{"data": [{"embedding": [NaN]}]}',
        b'{"data": [{"embedding": [1e999]}]}',
        b'{"data": [{"embedding": [1]}, {"embedding": [1]}]}',
        b"\xff",
    ],
)
def test_embeddings_that_are_none_are_a_failure(load, server: Server, body: bytes) -> None:
    server.answer = plain(200, body)
    with pytest.raises(InferenceFailed, match="embedding"):
        load().embed(b"hi", {})
