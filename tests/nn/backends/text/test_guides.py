from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from onecopy import EndOfSequence, InferenceFailed, InvalidArgument

pytest.importorskip("transformers")
pytest.importorskip("ziglang")

from onecopy.nn.backends.text.model import TransformersModel
from tests.nn.backends.text.zoo import generate, gpt2, text_model


@pytest.fixture(scope="module")
def model(guide: Path) -> Iterator[TransformersModel]:
    path = str(guide)
    known = {"plain": path, "no-e": [path, "eE "], "traps": [path, "!"], "stops": [path, "."]}
    known["missing"] = str(gone := guide.with_name("gone.wasm"))
    gone.touch()
    model = text_model(gpt2(), guides=known)
    gone.unlink()
    yield model
    model.close()
    model.close()


def test_a_guide_forbids_what_it_does_not_allow(model: TransformersModel) -> None:
    session = model.session({"temp": 2.0, "seed": 1, "n-predict": 40})
    free = generate(session, "the")
    guided = generate(session, "the", guide="no-e")
    assert set(free) & set(b"eE ")
    assert guided
    assert not set(guided) & set(b"eE ")


def test_guided_sessions_take_turns(model: TransformersModel) -> None:
    options = {"guide": "no-e", "n-predict": 8}
    alone = [generate(model.session(options), prompt) for prompt in ("the", "fox")]
    sessions = [model.session(options) for _ in range(2)]
    for session, prompt in zip(sessions, (b"the", b"fox"), strict=True):
        session.begin(prompt, {})
    pieces = [[each.advance() for each in sessions] for _ in range(8)]
    assert [b"".join(column) for column in zip(*pieces, strict=True)] == alone


def test_a_guide_and_a_grammar_work_together(model: TransformersModel) -> None:
    session = model.session({"temp": 2.0})
    for seed in range(4):
        found = generate(session, "the", guide="no-e", grammar='root ::= "e" | "ok"', seed=seed)
        assert found == b"ok"


def test_a_guide_may_end_the_text(model: TransformersModel) -> None:
    session = model.session({"guide": "stops"})
    session.begin(b"the", {})
    session.advance()
    session.advance()
    with pytest.raises(EndOfSequence):
        session.advance()


@pytest.mark.parametrize("name", ["traps", "missing"])
def test_a_guide_that_fails_fails_its_generation_alone(model: TransformersModel, name: str) -> None:
    other = model.session({"guide": "plain"})
    other.begin(b"the", {})
    other.advance()
    session = model.session({"guide": name, "n-predict": 5})
    session.begin(b"the", {})
    with pytest.raises(InferenceFailed, match=name):
        for _ in range(5):
            session.advance()
    with pytest.raises(InferenceFailed, match=name):
        session.advance()
    other.advance()
    assert generate(session, "the", guide="plain")


def test_places_are_given_back(model: TransformersModel) -> None:
    session = model.session({"guide": "plain"})
    for _ in range(70):
        session.begin(b"the", {})
        session.advance()
    session.close()


def test_a_guide_that_there_is_not_is_refused(model: TransformersModel) -> None:
    with pytest.raises(InvalidArgument, match=r"no guide 'x'.*no-e, plain"):
        model.session({}).begin(b"the", {"guide": "x"})
    with pytest.raises(InvalidArgument, match="none"):
        text_model().session({}).begin(b"the", {"guide": "x"})


def test_a_guest_cannot_choose_none_where_the_host_has_one(guide: Path) -> None:
    from tests.nn.backends.text.zoo import tokenizer

    known = {"no-e": [str(guide), "eE "]}
    model = TransformersModel(gpt2(), tokenizer(), {"guide": "no-e"}, guides=known)
    try:
        session = model.session({"guide": "", "temp": 2.0, "seed": 1, "n-predict": 40})
        assert not set(generate(session, "the", guide="")) & set(b"eE ")
    finally:
        model.close()


@pytest.mark.parametrize("form", [5, [], ["a", "b", "c"], ["a", 1], {"a": "b"}, "/nothing"])
def test_a_guide_of_another_form_is_refused(form) -> None:
    with pytest.raises(InvalidArgument, match="'x'"):
        text_model(guides={"x": form})


def test_a_guide_and_a_grammar_that_exclude_each_other_fail(model: TransformersModel) -> None:
    session = model.session({})
    session.begin(b"the", {"guide": "no-e", "grammar": 'root ::= "e"'})
    with pytest.raises(InferenceFailed, match="allow no token together"):
        session.advance()
