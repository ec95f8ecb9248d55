"""Text models in processes of their own, as guests meet them."""

from __future__ import annotations

import json

import pytest

import onecopy
from onecopy import EndOfSequence, InferenceFailed, PromptTooLong, nn
from tests.nn.service.ending import wait_until_ended

pytest.importorskip("transformers")

from tests.nn.backends.openai.endpoint import DONE, finished, said, serving, stream
from tests.nn.backends.text.zoo import generate, gpt2, text_model, tokenizer


def set_text(context, index: int, text: bytes) -> None:
    context.set_input(index, "u8", [len(text)], text)


def output(context, index: int) -> bytes:
    return bytes(context.output(index))


@pytest.fixture
def store():
    with onecopy.start("texts", capacity="64MiB") as store:
        store.save_module("llm", gpt2())
        nn.save_tokenizer(store, "llm", tokenizer())
        yield store
    wait_until_ended()


def test_a_model_of_a_store_continues_texts_and_embeds_them(store) -> None:
    expected = generate(text_model().session({}), "the quick", n_predict=12)
    models = {"tiny": "llm,backend=text,temp=0,context=64,threads=1"}
    with nn.Host(models, store=store, idle_seconds=0) as host:
        graph = host.load("tiny", '{"n-predict": 12, "enable-log": true}')
        assert graph.what == "text"
        with graph, graph.context() as context:
            set_text(context, 0, b"the quick")
            assert json.loads(output(context, 1))["input_tokens"] == 2
            context.compute()
            assert output(context, 0) == expected
            assert json.loads(output(context, 1))["output_tokens"] == 12
            pieces = []
            with pytest.raises(EndOfSequence):
                while True:
                    context.compute_single()
                    pieces.append(bytes(context.output_single(0)))
            context.finish_single()
            assert b"".join(pieces) == expected
            set_text(context, 0, b"the " * 90)
            for compute in (context.compute, context.compute_single):
                count = json.loads(output(context, 1))["input_tokens"]
                assert count == len(tokenizer()("the " * 90)["input_ids"])
                with pytest.raises(PromptTooLong):
                    compute()
                assert output(context, 0) == b""
                set_text(context, 0, b"the " * 90)
            set_text(context, 0, b"the")
            set_text(context, 1, b'{"grammar": "root ::= [0-9]{3}"}')
            context.compute()
            assert output(context, 0).isdigit()
            set_text(context, 1, b'{"embedding": true}')
            context.compute()
            found = json.loads(output(context, 0))
            assert found["n_embedding"] == 32
            assert found["embedding"] == pytest.approx(text_model().embed(b"the", {}), abs=1e-6)
            # Guests allow for some twenty characters a number.
            assert max(map(len, map(str, found["embedding"]))) <= 16


def test_a_model_behind_an_endpoint_is_met_in_the_same_way(monkeypatch) -> None:
    monkeypatch.setenv("SOME_KEY", "secret")
    with serving() as server:
        server.answer = stream(said("Hel"), said("lo"), finished(), DONE)
        model = f"tiny,backend=openai,base_url={server.url},api_key_env=SOME_KEY"
        with (
            nn.Host({"far": model}, idle_seconds=0) as host,
            host.load("far") as graph,
            graph.context() as context,
        ):
            set_text(context, 0, b"hi")
            context.compute()
            assert output(context, 0) == b"Hello"
        assert server.body["model"] == "tiny"
        assert server.requests[0][1]["Authorization"] == "Bearer secret"
    wait_until_ended()


def test_a_guide_of_the_host_steers_texts_in_the_models_process(store, guide) -> None:
    guides = {"no-e": [str(guide), "eE "], "traps": [str(guide), "!"]}
    options = {"threads": 1, "temp": 2.0, "seed": 1, "n-predict": 20, "guides": guides}
    model = nn.Model(what="llm", backend="text", options=options)
    with (
        nn.Host({"guided": model}, store=store, idle_seconds=0) as host,
        host.load("guided") as graph,
    ):
        free = b"".join(graph.stream("the"))
        guided = b"".join(graph.stream("the", '{"guide": "no-e"}'))
        assert set(free) & set(b"eE ")
        assert not set(guided) & set(b"eE ")
        with pytest.raises(InferenceFailed, match="traps"):
            list(graph.stream("the", '{"guide": "traps"}'))
        assert b"".join(graph.stream("the", '{"guide": "no-e"}')) == guided
