"""How texts are cut for an embedder; that MiniLM embeds them is in tests/demo/agent."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

import onecopy
from onecopy.agents.calls import UNAVAILABLE, Refused
from onecopy.agents.grants.memory.embedder import PART, PARTS, StoreEmbedder, parts


@given(text=st.text(st.sampled_from("ab \n"), max_size=3000))
def test_parts_are_all_of_a_text_and_none_is_too_long(text: str) -> None:
    found = parts(text)
    assert all(0 < len(part) <= PART for part in found)
    assert "".join("".join(found).split()) in ("".join(text.split()), ".")


def test_words_stay_whole_and_what_has_none_is_cut() -> None:
    words = parts("word " * 300)
    assert all(part.endswith("word") for part in words[:-1])
    assert len(parts("x" * (PART + 1))) == 2
    assert len(parts("x" * 10 * PART * PARTS)) == PARTS


def test_a_model_that_is_not_there_is_a_refusal() -> None:
    with onecopy.start("empty", capacity="16MiB") as store:
        embedder = StoreEmbedder(store, idle_seconds=0)
        with pytest.raises(Refused) as caught:
            asyncio.run(embedder.embed(["a"]))
        assert caught.value.refusal.code == UNAVAILABLE
        assert "onecopy agent embedder empty" in caught.value.refusal.message
        embedder.close()
