"""The guests of one sequence: made, made ahead, and alike."""

from __future__ import annotations

import gc
import weakref

import pytest

from onecopy.errors import InvalidModule
from onecopy.guests.decoding.family import Family
from onecopy.guests.decoding.grammars import Grammars
from onecopy.guests.decoding.vocabulary import Vocabulary
from tests.guests.segment import Segment
from tests.guests.tokenizers_of import byte_level

GUEST = """
(module
  (memory (export "memory") 1)
  (global $steps (mut i32) (i32.const 0))
  (func (export "mid_process") (result i32)
    (global.set $steps (i32.add (global.get $steps) (i32.const 1)))
    (i32.store (i32.const 64) (global.get $steps))
    (i32.const 0))
  (func (export "steps") (result i32) (global.get $steps))
  (func (export "stored") (result i32) (i32.load (i32.const 64))))
"""


@pytest.fixture(scope="module")
def vocabulary():
    with Vocabulary.from_tokenizer(byte_level(600)) as vocabulary:
        yield vocabulary


@pytest.fixture
def family(wat, compiled, vocabulary):
    def make(text: str = GUEST) -> Family:
        options = (b"config", Grammars(vocabulary), {}, 1 << 20, False)
        return Family(compiled(wat(text)), vocabulary, *options)

    return make


def test_members_do_not_see_each_other(family) -> None:
    one, two = family().join(), family().join()
    one.instance.call("mid_process")
    assert [each.instance.call("steps") for each in (one, two)] == [1, 0]
    one.close()
    two.close()


def test_a_guest_made_ahead_is_the_next_to_join(family) -> None:
    guests = family()
    first = guests.join()
    guests.prepare(1)
    second = guests.join()
    assert first.instance is not second.instance
    assert not second.instance.failed
    guests.leave(first)
    guests.leave(second)


def test_when_the_last_one_leaves_none_is_left_waiting(family) -> None:
    guests = family()
    member = guests.join()
    guests.prepare(2)
    waiting = [weakref.ref(each.instance) for each in guests._spare]
    guests.leave(member)
    gc.collect()
    assert member.instance.failed
    assert [each() for each in waiting] == [None, None]


def test_fewer_may_wait_than_did(family) -> None:
    guests = family()
    member = guests.join()
    guests.prepare(3)
    guests.prepare(1)
    assert not guests.join().instance.failed
    guests.prepare(0)
    member.close()


def test_what_was_saved_in_one_is_restored_in_another(family) -> None:
    guests = family()
    one, two = guests.join(), guests.join()
    one.instance.call("mid_process")
    saved = one.save(None)
    one.instance.call("mid_process")
    for member in (one, two):
        member.restore(saved)
        assert [member.instance.call(name) for name in ("steps", "stored")] == [1, 1]
        guests.leave(member)


def test_a_branch_has_its_windows_at_the_same_addresses(family) -> None:
    guests = family()
    with Segment(8192) as first, Segment(8192) as second:
        one, two = guests.join(), guests.join()
        sources = [each.readable.window_source() for each in (first, first, second)]
        one.open_windows({"a": sources[0], "b": sources[1]})
        two.follow(one, {"b": sources[2]})
        addresses = [
            {each.name: each.address for each in member.instance.windows} for member in (one, two)
        ]
        assert addresses[0] == addresses[1]
        guests.leave(one)
        guests.leave(two)
        for each in sources:
            each.close()


@pytest.mark.parametrize(
    ("function", "text"),
    [
        ("", "no function mid_process"),
        ('(func (export "mid_process") (param i32) (result i32) (i32.const 0))', "no arguments"),
    ],
)
def test_a_module_that_is_no_controller_is_refused(family, function: str, text: str) -> None:
    with pytest.raises(InvalidModule, match=text):
        family(f'(module (memory (export "memory") 1) {function})').join()
