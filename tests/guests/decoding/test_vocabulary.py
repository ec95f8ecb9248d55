"""The vocabulary: the bytes of each token, in a segment that nobody can change."""

from __future__ import annotations

import contextlib
import gc
import mmap
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onecopy import InvalidArgument
from onecopy.guests.decoding.vocabulary import Vocabulary
from onecopy.guests.instance.guest import Instance
from onecopy.guests.wasm.module import compile_module
from onecopy.segments import region
from tests.guests.tokenizers_of import END, byte_level, pieces

GUEST = """
#include "onecopy.h"
OC_EXPORT uint32_t length(uint32_t token) { uint32_t n; oc_token(token, &n); return n; }
OC_EXPORT uint32_t byte(uint32_t token, uint32_t i) {
    uint32_t n;
    return (uint8_t)oc_token(token, &n)[i];
}
OC_EXPORT uint32_t header(uint32_t i) {
    return ((const uint32_t *)oc_data(oc_window("vocab")))[i];
}
"""


@pytest.fixture(scope="module")
def vocabulary():
    with Vocabulary.from_tokenizer(byte_level(), size=1100) as vocabulary:
        yield vocabulary


def test_a_guest_in_c_reads_each_token(vocabulary, build):
    with Instance(compile_module(build(GUEST)).load()) as guest:
        source = vocabulary.window_source()
        guest.open_window("vocab", source)
        source.close()
        assert [guest.call("header", i) for i in range(3)] == [0x3156434F, 1100, vocabulary.eos]
        for token in (0, 1, 200, 700, vocabulary.size - 1):
            length = guest.call("length", token)
            seen = bytes(guest.call("byte", token, i) for i in range(length))
            assert seen == vocabulary.token(token)


def test_special_tokens_and_those_beyond_the_tokenizer_have_no_bytes(vocabulary):
    assert vocabulary.token(vocabulary.eos) == b""
    assert vocabulary.token(1099) == b""


@given(st.text().filter(lambda text: END not in text))
def test_tokens_spell_the_text(text):
    from tokenizers import Tokenizer

    with Vocabulary.from_tokenizer(byte_level()) as vocabulary:
        tokens = Tokenizer.from_str(byte_level()).encode(text).ids
        assert b"".join(map(vocabulary.token, tokens)) == text.encode()


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_pieces_with_byte_fallback_spell_spaces_and_bytes(kind):
    with Vocabulary.from_tokenizer(pieces(kind)) as vocabulary:
        spelled = vocabulary.tokens()
        assert spelled[3 + 0x0A] == b"\n"
        assert {b" ab", b" ", "\u00e9".encode()} <= set(spelled)
        assert spelled[vocabulary.eos] == b""


def test_a_tokenizer_of_transformers_says_which_token_ends_a_text():
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    fast = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(byte_level()), eos_token="!", pad_token=END
    )
    with Vocabulary.from_tokenizer(fast) as vocabulary:
        assert vocabulary.eos == fast.convert_tokens_to_ids("!")


def test_another_process_opens_it_from_the_descriptor_alone(vocabulary):
    fd = os.dup(vocabulary.segment)
    with Vocabulary.from_segment(fd) as opened:
        assert (opened.size, opened.eos, opened.digest) == (1100, 0, vocabulary.digest)
        assert opened.tokens() == vocabulary.tokens()
        assert opened.tokenizer_text() == vocabulary.tokenizer_text()


def test_the_digest_names_tokens_and_tokenizer(vocabulary):
    with Vocabulary.from_tokenizer(byte_level(), size=1100) as same:
        assert same.digest == vocabulary.digest
    with Vocabulary.from_tokenizer(byte_level(), size=1101) as larger:
        assert larger.digest != vocabulary.digest


def test_nobody_can_write_to_it(vocabulary):
    with pytest.raises(PermissionError):
        mmap.mmap(vocabulary.segment, 4096)
    with pytest.raises(PermissionError):
        os.pwrite(vocabulary.segment, b"x", 0)
    with pytest.raises(PermissionError):
        os.ftruncate(vocabulary.segment, 0)


def test_a_segment_that_could_still_change_is_refused():
    fd = region.create("test", 4096)
    with pytest.raises(InvalidArgument, match="seal"):
        Vocabulary.from_segment(fd)
    os.close(fd)


@pytest.mark.parametrize("content", [b"", b"x" * 64, bytes(8192)])
def test_a_segment_without_a_vocabulary_is_refused(content):
    fd = region.create("test")
    region.write(fd, [content])
    region.seal(fd)
    with pytest.raises(InvalidArgument, match="vocabulary"):
        Vocabulary.from_segment(fd)
    os.close(fd)


def test_a_token_outside_is_refused(vocabulary):
    for number in (-1, 1100):
        with pytest.raises(InvalidArgument, match="1100"):
            vocabulary.token(number)


@pytest.mark.parametrize("arguments", [{"eos": -1}, {"eos": 1000}, {"size": 10}, {"size": 1 << 30}])
def test_numbers_that_do_not_fit_are_refused(arguments):
    with pytest.raises(InvalidArgument):
        Vocabulary.from_tokenizer(byte_level(), **arguments)


def vocabularies() -> int:
    """Count the open segments of vocabularies, in this process: what else is open may change."""
    gc.collect()
    found = 0
    for each in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found += "onecopy-vocabulary" in str(each.readlink())
    return found


def test_closing_twice_is_fine_and_leaves_nothing_open():
    before = vocabularies()
    vocabulary = Vocabulary.from_tokenizer(byte_level())
    source = vocabulary.window_source()
    assert vocabularies() > before
    source.close()
    vocabulary.close()
    vocabulary.close()
    assert vocabularies() == before
