"""Contexts: what is set stays, what was computed is there until the next time."""

from __future__ import annotations

import pytest

from onecopy.errors import EndOfSequence, InvalidArgument
from tests.conftest import open_files


def put(context, data: bytes, index: int | str = 0) -> None:
    context.set_input(index, "u8", (len(data),), data)


def test_inputs_and_outputs_have_numbers_and_names(shared) -> None:
    with shared("affine").context() as context:
        put(context, b"\x01", "x")
        assert context.output_count == 0
        context.compute()
        assert context.output_count == 2
        assert bytes(context.output("y")) == bytes(context.output(0)) == b"\x02"
        assert [context.output_port(each).name for each in (0, 1)] == ["y", "log"]
        assert context.output_port("y").shape == (1,)
        for wrong in (-1, 1, "y"):
            with pytest.raises(InvalidArgument):
                put(context, b"\x01", wrong)
        for wrong in (-1, 2, "x"):
            with pytest.raises(InvalidArgument):
                context.output(wrong)


def test_an_output_is_none_before_anything_was_computed(shared) -> None:
    with shared("affine").context() as context, pytest.raises(InvalidArgument, match="compute"):
        context.output(0)


def test_inputs_stay_until_they_are_set_or_forgotten(shared) -> None:
    with shared("affine").context() as context:
        put(context, b"\x01\x02")
        for _ in range(2):
            context.compute()
            assert bytes(context.output(0)) == b"\x02\x04"
        put(context, b"\x05")
        context.compute()
        assert bytes(context.output(0)) == b"\x0a"
        context.keep_inputs(0)
        with pytest.raises(InvalidArgument):
            context.compute()


def test_what_an_input_was_set_from_may_change(shared) -> None:
    data = bytearray(b"\x01")
    with shared("affine").context() as context:
        put(context, data)
        data[0] = 9
        context.compute()
        assert bytes(context.output(0)) == b"\x02"


def test_an_output_cannot_be_written_to(shared) -> None:
    with shared("affine").context() as context:
        put(context, b"\x01")
        context.compute()
        with pytest.raises(TypeError):
            context.output(0)[0] = 1


def test_a_text_comes_token_by_token_and_as_a_whole(shared) -> None:
    with shared("counting").context() as context:
        put(context, b"n")
        pieces = []
        with pytest.raises(EndOfSequence):
            while True:
                context.compute_single()
                pieces.append(bytes(context.output_single(0)))
        assert len(pieces) == 5
        assert b"".join(pieces) == b"n1 n2 n3 n4 n5 "
        context.compute()
        assert bytes(context.output(0)) == b"".join(pieces)


def test_a_text_so_far_is_an_output_and_finishing_forgets_it(shared) -> None:
    with shared("counting").context() as context:
        put(context, b"n")
        context.compute_single()
        context.compute_single()
        assert bytes(context.output(0)) == b"n1 n2 "
        assert context.output_port(0).shape == (6,)
        context.finish_single()
        context.compute_single()
        assert bytes(context.output(0)) == b"n1 "


def test_what_is_known_of_a_prompt_is_there_before_a_text_is(shared) -> None:
    with shared("counting").context() as context:
        put(context, b"four")
        assert b'"input_tokens":4' in bytes(context.output(1))
        assert b'"output_tokens":0' in bytes(context.output(1))


def test_a_closed_one_says_so_and_leaves_nothing_open(shared) -> None:
    graph = shared("affine")
    before = open_files()
    context = graph.context()
    put(context, b"\x01")
    context.close()
    context.close()
    assert open_files() == before
    for call in (context.compute, context.compute_single, lambda: put(context, b"\x01")):
        with pytest.raises(InvalidArgument, match="closed"):
            call()
