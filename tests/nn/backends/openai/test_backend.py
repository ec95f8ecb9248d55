from __future__ import annotations

import pytest

from onecopy import InvalidArgument, UnsupportedOperation
from onecopy.nn.backends import registry
from onecopy.nn.backends.backend import Source
from onecopy.nn.backends.openai.backend import OpenAi
from tests.nn.backends.openai.endpoint import plain, serving

pytest.importorskip("httpx")

KNOWN = {"base_url": "http://127.0.0.1:9/v1", "model": "tiny"}


def load(**options):
    return OpenAi().load(Source(backend="openai", options=options))


def test_nothing_is_sent_when_it_is_loaded() -> None:
    with serving() as server:
        load(base_url=server.url, model="tiny").close()
        assert server.requests == []


def test_the_key_comes_from_the_variable_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", " secret \n")
    with serving() as server:
        server.answer = plain(200, b'{"data": [{"embedding": [1]}]}')
        model = load(base_url=server.url, model="tiny", api_key_env="SOME_KEY")
        model.embed(b"hi", {})
        model.close()
        assert server.requests[0][1]["Authorization"] == "Bearer secret"


def test_a_variable_that_is_not_set_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("", "ä", "a\nb"):
        monkeypatch.setenv("SOME_KEY", value)
        with pytest.raises(InvalidArgument, match=r"SOME_KEY .*api_key_env"):
            load(**KNOWN, api_key_env="SOME_KEY")


def test_a_process_gets_the_key_that_its_model_names_and_no_other() -> None:
    source = Source(backend="openai", options={**KNOWN, "api_key_env": "SOME_KEY"})
    assert "SOME_KEY" in OpenAi().environment(source)
    assert "OPENAI_API_KEY" not in OpenAi().environment(source)
    for name in (5, None, ""):
        OpenAi().environment(Source(backend="openai", options={"api_key_env": name}))


@pytest.mark.parametrize(
    "options",
    [
        {"model": "tiny"},
        {"base_url": "http://x"},
        {"base_url": "ftp://x", "model": "tiny"},
        {"base_url": "x", "model": "tiny"},
        {"base_url": "http://", "model": "tiny"},
        {"base_url": "http://x:99999999", "model": "tiny"},
        {"base_url": "http://user:password@x", "model": "tiny"},
        {"base_url": "http://x?key=secret", "model": "tiny"},
        {**KNOWN, "api": "other"},
        {**KNOWN, "timeout": 0},
        {**KNOWN, "total_timeout": -1},
        {**KNOWN, "max_nbytes": 0},
        {**KNOWN, "nothing": 1},
        {**KNOWN, "temp": "hot"},
    ],
)
def test_wrong_options_are_refused(options: dict) -> None:
    with pytest.raises(InvalidArgument):
        load(**options)


def test_options_may_be_texts_as_the_command_line_has_them() -> None:
    load(**KNOWN, timeout="2.5", n_predict="5").close()


def test_what_a_guest_brings_is_refused() -> None:
    with pytest.raises(UnsupportedOperation):
        OpenAi().load(Source(backend="openai", foreign=True, options=KNOWN))


def test_it_is_found_by_its_name() -> None:
    assert isinstance(registry.find("openai"), OpenAi)
