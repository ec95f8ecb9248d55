"""The control page: what the host writes is what a guest in C reads, and the other way round."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from onecopy.guests.instance.guest import Instance
from onecopy.guests.wasm import control
from onecopy.guests.wasm.control import ControlPage, Described, Result

READER = """
#include "onecopy.h"
OC_EXPORT uint32_t windows(void) { return oc_control()->window_count; }
OC_EXPORT uint32_t generation(void) { return oc_control()->generation; }
OC_EXPORT uint32_t vocab(void) { return oc_control()->vocab; }
OC_EXPORT uint32_t eos(void) { return oc_control()->eos; }
OC_EXPORT uint32_t step(void) { return oc_control()->step; }
OC_EXPORT uint32_t branch(void) { return oc_control()->branch; }
OC_EXPORT uint32_t token_count(void) { return oc_control()->token_count; }
OC_EXPORT uint32_t token(uint32_t i) { return oc_control()->tokens[i]; }
OC_EXPORT uint32_t field(uint32_t window, uint32_t word) {
    return ((const uint32_t *)&oc_control()->windows[window])[word];
}
OC_EXPORT uint32_t found(void) { return oc_window("second") == &oc_control()->windows[1]; }
OC_EXPORT uint32_t missing(void) { return oc_window("secon") == NULL; }
OC_EXPORT void answer(void) {
    struct oc_result *result = &oc_control()->result;
    uint32_t *words = (uint32_t *)result;
    for (uint32_t i = 0; i < 9; i++) words[i] = i + 1;
}
"""
FIELDS = ("address", "flags", "nbytes", "dtype", "rank", "generation")


def page() -> tuple[bytearray, ControlPage]:
    memory = bytearray(control.NBYTES)
    return memory, ControlPage(memoryview(memory))


def test_a_guest_in_c_reads_every_field(build, compiled):
    with Instance(compiled(build(READER))) as guest:
        guest.control.set_vocabulary(32000, 2)
        guest.control.begin(7, 3, [11, 12, 13])
        names = ("vocab", "eos", "step", "branch", "token_count")
        assert [guest.call(each) for each in names] == [32000, 2, 7, 3, 3]
        assert [guest.call("token", i) for i in range(3)] == [11, 12, 13]
        guest.control.begin(8, 0, [99])
        assert (guest.call("token_count"), guest.call("token", 0)) == (1, 99)


def test_a_guest_in_c_reads_the_windows_that_are_described(build, compiled):
    first = Described("first", 65536, 0, 24, "F32", 1, (2, 3), (3, 1))
    second = Described("second", 131072, control.WRITABLE, 8, "BYTES", 5, (8,), (1,))
    with Instance(compiled(build(READER))) as guest:
        before = guest.call("generation")
        guest.control.describe([first, second])
        assert guest.call("windows") == 2
        assert guest.call("generation") != before
        assert guest.call("found")
        assert guest.call("missing")
        fields = [guest.call("field", 0, 10 + i) for i in range(len(FIELDS) + 12)]
        assert fields == [65536, 0, 24, 0, 2, 1, 2, 3, 0, 0, 0, 0, 3, 1, 0, 0, 0, 0]
        fields = [guest.call("field", 1, 10 + i) for i in range(len(FIELDS))]
        assert fields == [131072, 1, 8, 15, 1, 5]


def test_the_result_has_the_words_that_the_guest_wrote(build, compiled):
    with Instance(compiled(build(READER))) as guest:
        guest.call("answer")
        assert guest.control.result() == Result(*range(1, 10))


def test_the_next_step_clears_the_last_result():
    for tokens in ([], [4], [4, 5]):
        memory, written = page()
        memory[64:128] = b"\xff" * 64
        written.begin(1, 0, tokens)
        assert written.result() == Result(*[0] * 9)
        assert memory[64:128] == bytes(64)


def test_more_tokens_than_the_page_holds_are_counted_and_do_not_spill():
    memory, written = page()
    written.begin(1, 0, list(range(1000)))
    assert struct.unpack_from("<I", memory, 32) == (1000,)
    assert struct.unpack_from("<192I", memory, 128) == tuple(range(192))
    assert not any(memory[896:])


@given(st.lists(st.integers(0, 2**32 - 1), max_size=300), st.integers(0, 2**32 - 1))
def test_any_tokens_arrive_in_their_order(tokens: list[int], step: int):
    memory, written = page()
    written.begin(step, 1, tokens)
    inline = min(len(tokens), control.INLINE_TOKENS)
    assert struct.unpack_from("<3I", memory, 24) == (step, 1, len(tokens))
    assert list(struct.unpack_from(f"<{inline}I", memory, 128)) == tokens[:inline]


def test_a_name_of_the_full_length_keeps_its_nul():
    memory, written = page()
    name = "n" * control.NAME_NBYTES
    written.describe([Described(name, 1, 0, 1, "U8", 1, (), ())] * control.MAX_WINDOWS)
    assert memory[1024:1064] == name.encode() + b"\0"
    assert len(memory) == control.NBYTES
