"""Compressed bodies become no more than is allowed, a piece at a time."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onecopy.agents.calls import Refused
from onecopy.agents.grants.http.decoder import Decoder

PACK = {"gzip": gzip.compress, "deflate": zlib.compress, "": bytes, "Identity ": bytes}


@given(st.sampled_from(sorted(PACK)), st.binary(max_size=300), st.integers(1, 40))
def test_a_body_is_the_same_however_it_is_cut_into_chunks(encoding: str, body: bytes, size: int):
    decoder, packed = Decoder(encoding, 1000), PACK[encoding](body)
    chunks = [packed[at : at + size] for at in range(0, len(packed), size)]
    assert b"".join(piece for chunk in chunks for piece in decoder.feed(chunk)) == body
    decoder.end()


def test_a_bomb_is_decoded_in_small_pieces_up_to_the_limit():
    decoder = Decoder("gzip", 1 << 20)
    sizes = []
    with pytest.raises(Refused) as caught:
        for piece in decoder.feed(gzip.compress(bytes(64 << 20))):
            sizes.append(len(piece))
    assert caught.value.refusal.code == "too-large"
    assert max(sizes) <= 64 << 10
    assert sum(sizes) <= 1 << 20


@given(st.sampled_from(["gzip", "deflate"]), st.binary(max_size=100))
def test_bytes_that_are_not_compressed_fail_in_words(encoding: str, body: bytes):
    decoder, codes = Decoder(encoding, 1000), set()
    try:
        list(decoder.feed(body))
        decoder.end()
    except Refused as error:
        codes.add(error.refusal.code)
    assert codes <= {"failed", "too-large"}


def test_an_empty_body_has_no_end_to_wait_for():
    Decoder("gzip", 10).end()
