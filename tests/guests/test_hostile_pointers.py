"""Controllers that hand their host any numbers: as arguments of every function, and as a result.

`instance/test_host.py` does the same for plain guests, to whom functions of controllers are denied.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import onecopy
from onecopy import GuestMisbehaved, guests
from onecopy.guests.decoding.controller import Controller
from onecopy.guests.decoding.grammars import Grammars
from onecopy.guests.decoding.outcome import Choose, Fork, Mask, Splice, Stop
from onecopy.guests.decoding.vocabulary import Vocabulary
from onecopy.guests.wasm import abi
from onecopy.guests.wasm.engine import ticker
from tests.guests.instance.test_host import ERRORS, numbers, relay
from tests.guests.tokenizers_of import byte_level

EPOCHS = 40_000
WORDS = 32
GIVEN = 65536  # where the guest has the result that it is to give
QUICK = settings(
    max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
STEP = f"""
(func (export "mid_process") (result i32)
  (local $page i32) (local $i i32)
  (local.set $page (i32.add (call $control) (i32.const 64)))
  (loop $next
    (i32.store (i32.add (local.get $page) (local.get $i))
      (i32.load (i32.add (i32.const {GIVEN}) (local.get $i))))
    (br_if $next (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 4))) (i32.const 64))))
  (i32.const 0))
"""


@pytest.fixture(scope="module")
def vocabulary() -> Iterator[Vocabulary]:
    with Vocabulary.from_tokenizer(byte_level()) as vocabulary:
        yield vocabulary


@pytest.fixture
def store() -> Iterator[onecopy.Store]:
    with onecopy.start("pointers", capacity="16MiB") as store:
        yield store


@pytest.fixture
def guest(
    vocabulary: Vocabulary,
    wat: Callable[[str], bytes],
    compiled: Callable[[bytes], Any],
    store: onecopy.Store,
) -> Iterator[Controller]:
    """A controller with a grammar, an entry to read, one to write to, and the vocabulary."""
    store.save("x", torch.full((50_000,), 7, dtype=torch.uint8), align=4096)
    store.save("m", torch.zeros(50_000, dtype=torch.uint8), mutable=True, align=4096)
    grammars = Grammars(vocabulary)
    with (
        guests.source_of(store.ref("x")) as x,
        guests.source_of(store.ref("m"), "rw") as m,
        Controller(
            compiled(wat(f"{relay()[:-1]} {STEP})")),
            vocabulary,
            config=b"c" * 5000,
            grammars=grammars,
            windows={"x": x, "m": m},
        ) as guest,
        ticker.running(),
    ):
        guest.init_prompt([1, 2, 3], 20)
        guest.keep(2)
        guest._host.handles[0] = grammars.compile("regex", "[a-z]*")
        yield guest


def edges(guest: Controller) -> list[int]:
    """Where something ends, and something else begins."""
    found = [0, guest.instance.memory.nbytes, 2**32]
    for window in guest.instance.windows:
        found += [window.address, window.address + window.extent]
    return found


def check_others(store: onecopy.Store, vocabulary: Vocabulary, before: bytes) -> None:
    assert (store.load("x") == 7).all()
    assert vocabulary._map[:] == before


@QUICK
@given(data=st.data())
def test_every_function_answers_pointers_to_anywhere_and_across_windows(
    guest: Controller, store: onecopy.Store, vocabulary: Vocabulary, data: st.DataObject
) -> None:
    before = vocabulary._map[:]
    name = data.draw(st.sampled_from([each for each in abi.SIGNATURES if each != "fail"]))
    params, results = abi.SIGNATURES[name]
    number = numbers(edges(guest))
    if name.startswith("grammar") and name != "grammar_new":
        number = st.one_of(st.just(0), number)
    answer = guest.instance.call(name, *[data.draw(number) for _ in params])
    if results and answer < 0:
        assert answer in ERRORS
    check_others(store, vocabulary, before)


@QUICK
@given(data=st.data())
def test_a_mask_of_a_grammar_over_a_window_that_may_be_read_is_the_guest_s_own(
    guest: Controller, store: onecopy.Store, vocabulary: Vocabulary, data: st.DataObject
) -> None:
    """The engine of grammars writes by a pointer, in native code."""
    before = vocabulary._map[:]
    window = guest.instance.windows[data.draw(st.sampled_from(["vocab", "x"]))]
    at = window.address - 4 * WORDS + 4 * data.draw(st.integers(0, WORDS))
    at = data.draw(st.sampled_from([at, at + window.extent // 4 * 4]))
    for name in ("grammar_mask", "grammar_step"):
        assert guest.instance.call(name, 0, at) in (abi.OK, abi.INVALID)
    check_others(store, vocabulary, before)
    guest.instance.call("control")  # what was written there is dropped before the next call
    assert guest.instance.memory.read(window.address, 64) == (
        b"\7" * 64 if window.nbytes == 50_000 else before[:64]
    )


@QUICK
@given(data=st.data())
def test_whatever_it_gives_as_its_result_is_sound_or_its_own_failure(
    guest: Controller, store: onecopy.Store, vocabulary: Vocabulary, data: st.DataObject
) -> None:
    before = vocabulary._map[:]
    number = numbers(edges(guest)).map(lambda each: each & 0xFFFFFFFF)
    words = [data.draw(st.integers(0, 7)), *(data.draw(number) for _ in range(15))]
    _, twin = guest.fork(2)
    with twin:
        twin.instance.memory.write(GIVEN, struct.pack("<16I", *words))
        try:
            outcome = twin.step([], EPOCHS)
            row = np.zeros(WORDS, np.uint32)
            if isinstance(outcome, Mask):
                outcome.write(row.ctypes.data, WORDS)
                tokens, values = outcome.biases()
                assert row.any()
                assert np.isfinite(values).all()
                assert (np.asarray(tokens) < vocabulary.size).all()
            elif isinstance(outcome, Splice):
                assert all(each < vocabulary.size for each in outcome.tokens)
                assert outcome.backtrack <= 3
            elif isinstance(outcome, Choose):
                assert outcome.token < vocabulary.size
            else:
                assert isinstance(outcome, Fork | Stop)
        except GuestMisbehaved:
            pass
    check_others(store, vocabulary, before)
