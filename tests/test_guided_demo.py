"""The demo of guided decoding: its plot, with a model that was hardly trained, and its parts."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

pytest.importorskip("tokenizers")
pytest.importorskip("transformers")

import torch

from onecopy.demo.guided.card import SCHEMA, parses
from onecopy.demo.guided.corpus import corpus
from onecopy.demo.guided.decoding import sample
from onecopy.demo.guided.language_model import LanguageModel, train
from onecopy.demo.guided.report import show_report
from onecopy.demo.guided.story import Story

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    # Two tests run at once on two cores: more threads would wait for each other, spinning.
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def model(_one_thread: None) -> LanguageModel:
    return train(steps=2)


@pytest.fixture(autouse=True)
def _private_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_every_claim_of_the_demo_holds(model: LanguageModel) -> None:
    said: list[str] = []
    outcome = Story(model, 2, said.append).play()
    assert [each.claim for each in outcome.checks if not each.held] == []
    assert len(outcome.checks) == 4
    assert len(said) == 4
    output = io.StringIO()
    show_report(Console(file=output, width=100), outcome, 2)
    assert output.getvalue().count("  ok      ") == 4
    assert '{"title":' in output.getvalue()


def test_training_lowers_the_loss_and_says_how_far_it_is(model: LanguageModel) -> None:
    done: list[float] = []
    longer = train(steps=15, progress=done.append)
    assert longer.loss < model.loss
    assert done == sorted(done)
    assert 0 <= done[0] < 0.5 < done[-1] < 1


def test_the_corpus_is_this_package_s_own_text() -> None:
    assert "one copy of every tensor" in corpus().lower()


@pytest.mark.parametrize(
    ("text", "is_card"),
    [
        ('{"title":"abc","kind":"guide","pages":1}', True),
        ('{"title":"a`c","kind":"guide","pages":1}', False),
        ('{"title":"abc","kind":"novel","pages":1}', False),
        ('{"title":"abc","kind":"guide","pages":100}', False),
        ('{"title":"abc","kind":"guide","pages":1,"more":2}', False),
        ('{"title":"abc"', False),
        ("", False),
    ],
)
def test_a_card_is_what_the_schema_says_and_has_no_markdown(text: str, is_card: bool) -> None:
    assert parses(text) is is_card


def test_the_schema_is_json() -> None:
    assert b'"maxLength":30' in SCHEMA


def test_only_allowed_tokens_are_sampled() -> None:
    generator = torch.Generator().manual_seed(1)
    logits = torch.zeros(20)
    mask = bytes([0b100, 0, 0b1000, 0])
    assert {sample(logits, mask, generator) for _ in range(50)} == {2, 19}
