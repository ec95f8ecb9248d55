"""Graphs and contexts: what their users see, also when the process behind them ends."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import struct
import tempfile
import termios
import threading

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onecopy.errors import (
    BackendLost,
    ContextFull,
    EndOfSequence,
    InferenceFailed,
    InvalidArgument,
    LimitReached,
    ModelNotFound,
    UnsupportedOperation,
)
from onecopy.nn.service.running import running
from onecopy.nn.service.spot import spots
from tests.conftest import open_files
from tests.guests.waiting import eventually
from tests.nn.arithmetic import write
from tests.nn.service.ending import wait_for, wait_until_ended

SHAPES = st.lists(st.integers(0, 5), max_size=3)
DTYPES = st.sampled_from(["float16", "float32", "float64", "uint8", "int32", "int64"])


def _set(context, text: bytes, index: int = 0) -> None:
    context.set_input(index, "u8", (len(text),), text)


def test_types_and_shapes_arrive_as_they_were(shared) -> None:
    graph = shared("affine")

    @settings(max_examples=40, deadline=None)
    @given(shape=SHAPES, dtype=DTYPES)
    def check(shape, dtype) -> None:
        x = np.arange(np.prod(shape), dtype=dtype).reshape(shape)
        (y, rows) = graph.run([x])
        np.testing.assert_array_equal(y, x * 2)
        assert (y.dtype, y.shape) == (x.dtype, x.shape)
        assert rows[0, 0] == (shape[0] if shape else 0)

    check()


def test_inputs_stay_for_the_next_computation(shared) -> None:
    with shared("affine").context() as context:
        _set(context, b"\x05")
        for _ in range(3):
            context.compute()
            assert bytes(context.output(0)) == b"\x0a"


def test_outputs_stay_while_inputs_change(shared) -> None:
    with shared("affine").context() as context:
        _set(context, b"\x05")
        context.compute()
        output = context.output(0)
        _set(context, b"\x07" * 100_000)
        assert bytes(output) == b"\x0a"
        context.compute()
        assert bytes(context.output(0)) == b"\x0e" * 100_000


def test_outputs_larger_than_the_segment_get_a_larger_one(load) -> None:
    with load("repeat", times=1000).context() as context:
        for text in (b"abc" * 100, b"d" * 1000):
            _set(context, text)
            context.compute()
            assert bytes(context.output(0)) == text * 1000


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(sizes=st.lists(st.integers(1, 200_000), min_size=1, max_size=6))
def test_sizes_may_change_in_any_way(shared, sizes) -> None:
    with shared("repeat").context() as context:
        for number, size in enumerate(sizes):
            _set(context, bytes([number]) * size)
            context.compute()
            assert bytes(context.output(0)) == bytes([number]) * (10 * size)


def test_names_work_as_numbers_do(shared) -> None:
    with shared("affine").context() as context:
        context.set_input("x", "u8", (1,), b"\x01")
        context.compute()
        assert bytes(context.output("y")) == b"\x02"
        assert context.output_port("log").dtype == "i64"


def test_names_of_outputs_are_learned(load) -> None:
    with load("affine", ports=False).context() as context:
        _set(context, b"\x01")
        context.compute()
        assert context.output_port(0).name == "0"


@pytest.mark.parametrize("index", [1, -1, "z", 1 << 40])
def test_inputs_that_there_are_not_are_refused(shared, index) -> None:
    with shared("affine").context() as context, pytest.raises(InvalidArgument, match="no input"):
        context.set_input(index, "u8", (1,), b"\x01")


@pytest.mark.parametrize("index", [0, 1, 2, -1, "y", "z"])
def test_outputs_that_there_are_not_are_refused(shared, index) -> None:
    with shared("affine").context() as context, pytest.raises(InvalidArgument, match="no output"):
        context.output(index)


@pytest.mark.parametrize(
    ("dtype", "shape", "nbytes"),
    [("f32", (2,), 7), ("f33", (2,), 8), ("u8", (-1,), 1), ("u8", (1,) * 17, 1), ("u8", (), 0)],
)
def test_bytes_that_are_no_such_tensor_are_refused(shared, dtype, shape, nbytes) -> None:
    with shared("affine").context() as context, pytest.raises(InvalidArgument, match="tensor"):
        context.set_input(0, dtype, shape, bytes(nbytes))


def test_a_missing_input_is_refused_by_the_model(shared) -> None:
    with shared("affine").context() as context, pytest.raises(InvalidArgument, match="one input"):
        context.compute()


def test_a_failure_is_told_and_harms_no_later_request(load) -> None:
    with load("misbehave").context() as context:
        for what, error in ((b"raise", InferenceFailed), (b"complex", UnsupportedOperation)):
            _set(context, what)
            with pytest.raises(error):
                context.compute()
        _set(context, b"echo")
        context.compute()
        assert bytes(context.output(0)) == b"echo"


def test_a_process_that_dies_fails_one_request_and_is_started_again(load) -> None:
    graph = load("misbehave")
    with graph.context() as context, graph.context() as other:
        _set(other, b"other")
        other.compute()
        _set(context, b"die")
        with pytest.raises(BackendLost, match="the next one starts it again"):
            context.compute()
        _set(context, b"alive")
        context.compute()
        assert bytes(context.output(0)) == b"alive"
        # What the others had set is still there.
        other.compute()
        assert bytes(other.output(0)) == b"other"


@pytest.mark.parametrize("what", ["many", "deep", "large"])
def test_results_that_cannot_be_handed_over_are_an_error_of_that_request(shared, what) -> None:
    with shared("misbehave").context() as context:
        _set(context, what.encode())
        with pytest.raises(LimitReached):
            context.compute()
        _set(context, b"fine")
        context.compute()
        assert bytes(context.output(0)) == b"fine"


def _unread(context) -> int:
    """Return how many bytes of a context's requests its process has not read yet."""
    sock = context._line._sock
    return struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)))[0]


def test_a_process_killed_in_compute_fails_all_who_wait_and_none_after(load, gate) -> None:
    graph = load("affine", gate=gate.path)
    contexts = [graph.context() for _ in range(3)]
    lost = []

    def compute(context) -> None:
        try:
            context.compute()
        except BackendLost as error:
            lost.append(error)

    for number, context in enumerate(contexts):
        _set(context, bytes([number]))
        _pass(context.compute, gate)  # Each has its connection.
    threads = [threading.Thread(target=compute, args=(each,)) for each in contexts]
    threads[0].start()
    gate.await_arrival()
    for thread in threads[1:]:
        thread.start()
    # Asked before its end: who asks after that starts it again.
    eventually(lambda: all(_unread(each) for each in contexts[1:]))
    (pid,) = (each.pid() for each in spots())
    os.kill(pid, signal.SIGKILL)
    for thread in threads:
        thread.join()
    assert len(lost) == 3
    _pass(contexts[2].compute, gate)
    assert bytes(contexts[2].output(0)) == b"\x04"
    for context in contexts:
        context.close()


def _pass(work, gate) -> None:
    """Do what stops at a gate once."""
    thread = threading.Thread(target=work)
    thread.start()
    gate.await_arrival()
    gate.open()
    thread.join()


def test_a_process_killed_between_requests_is_started_again(load) -> None:
    with load("affine").context() as context:
        _set(context, b"\x01")
        context.compute()
        (loaded,) = running()
        os.kill(loaded.pid, signal.SIGKILL)
        wait_for(loaded.pid)
        context.compute()
        assert bytes(context.output(0)) == b"\x02"


def test_a_text_that_was_begun_in_a_process_that_ended_is_lost_once(load) -> None:
    with load("counting").context() as context:
        _set(context, b"n")
        context.compute_single()
        (loaded,) = running()
        os.kill(loaded.pid, signal.SIGKILL)
        wait_for(loaded.pid)
        with pytest.raises(BackendLost):
            context.compute_single()
        context.compute_single()
        assert bytes(context.output(0)) == b"n1 "


def test_a_model_that_was_replaced_meanwhile_is_told(load, tmp_path) -> None:
    graph = load("misbehave")
    with graph.context() as context:
        _set(context, b"die")
        with pytest.raises(BackendLost):
            context.compute()
        write(tmp_path / "misbehave0", "affine")
        with pytest.raises(ModelNotFound, match="replaced"):
            context.compute()
        (tmp_path / "misbehave0").unlink()
        with pytest.raises(ModelNotFound, match="no file"):
            context.compute()


def test_the_last_words_of_a_process_are_in_the_error(load, monkeypatch) -> None:
    # A path too long for a socket's address would not be found by it.
    with tempfile.TemporaryDirectory(prefix="ocn-") as folder:
        monkeypatch.setenv("ONECOPY_RUNTIME_DIR", folder)
        graph = load("misbehave")
        with graph.context() as context:
            _set(context, b"crash")
            with pytest.raises(BackendLost, match="the last thing that it said"):
                context.compute()
        graph.close()
        wait_until_ended()


def test_closing_is_final_and_may_be_repeated(load) -> None:
    graph = load("affine")
    context = graph.context()
    context.close()
    context.close()
    with pytest.raises(InvalidArgument, match="closed"):
        context.compute()
    graph.close()
    graph.close()
    with pytest.raises(InvalidArgument, match="closed"):
        graph.context()


def test_no_descriptor_is_left(shared) -> None:
    graph = shared("affine")
    before = open_files()
    for _ in range(3):
        with graph.context() as context:
            _set(context, b"\x01")
            context.compute()
    assert open_files() == before


def test_a_forked_child_has_no_part_in_it(shared) -> None:
    graph = shared("affine")
    with graph.context() as context:
        _set(context, b"\x01")
        context.compute()
        pid = os.fork()
        if pid == 0:
            try:
                context.compute()
            except InvalidArgument:
                os._exit(7)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
        context.compute()
        assert bytes(context.output(0)) == b"\x02"


# ---- texts ----


def test_a_text_is_computed_to_its_end(shared) -> None:
    with shared("counting").context() as context:
        _set(context, b"n")
        context.compute()
        assert bytes(context.output(0)) == b"n1 n2 n3 n4 n5 "
        assert json.loads(bytes(context.output(1))) == {"input_tokens": 1, "output_tokens": 5}


def test_a_text_comes_token_by_token(load) -> None:
    with load("counting", length=2).context() as context:
        _set(context, b"n")
        for _ in range(2):
            context.compute_single()
            assert bytes(context.output_single(0)) == b"n1 "
            assert json.loads(bytes(context.output_single(1)))["output_tokens"] == 1
            context.compute_single()
            assert bytes(context.output_single(0)) == b"n2 "
            assert bytes(context.output(0)) == b"n1 n2 "
            with pytest.raises(EndOfSequence):
                context.compute_single()
            assert bytes(context.output(0)) == b"n1 n2 "


def test_a_text_that_is_finished_begins_again(shared) -> None:
    with shared("counting").context() as context:
        _set(context, b"n")
        context.compute_single()
        context.compute_single()
        context.finish_single()
        context.compute_single()
        assert bytes(context.output_single(0)) == b"n1 "


def test_a_full_context_leaves_the_text_so_far(load) -> None:
    with load("counting", room=2).context() as context:
        _set(context, b"n")
        with pytest.raises(ContextFull):
            context.compute()
        assert bytes(context.output(0)) == b"n1 n2 "


def test_options_come_with_the_graph_and_with_a_request(load) -> None:
    with load("counting", '{"length": 1}').context() as context:
        _set(context, b"n")
        context.compute()
        assert bytes(context.output(0)) == b"n1 "
        _set(context, b'{"length": 3}', 1)
        context.compute()
        assert bytes(context.output(0)) == b"n1 n2 n3 "
        _set(context, b"[]", 1)
        with pytest.raises(InvalidArgument, match="JSON object"):
            context.compute()


def test_an_embedding_is_asked_for_by_an_option(shared) -> None:
    with shared("counting").context() as context:
        _set(context, b"four")
        _set(context, b'{"embedding": true}', 1)
        context.compute()
        assert json.loads(bytes(context.output(0))) == {"n_embedding": 2, "embedding": [4.0, 0.5]}


def test_a_stream_yields_tokens(shared) -> None:
    assert list(shared("counting").stream("a", '{"length": 2}')) == [b"a1 ", b"a2 "]


def test_texts_take_turns(load, gate) -> None:
    """A long text holds up nobody: a short one that begins later ends before it."""
    graph = load("counting", room=1 << 20, gate=gate.path)
    done = []

    def generate(name: str, length: int) -> None:
        with graph.context() as context:
            _set(context, name.encode())
            _set(context, b'{"length": %d}' % length, 1)
            context.compute()
            done.append(name)

    long = threading.Thread(target=generate, args=("long", 2000))
    short = threading.Thread(target=generate, args=("short", 1))
    long.start()
    gate.await_arrival()
    short.start()
    while not done:
        gate.open()
        gate.await_arrival()
    assert done == ["short"]
    gate.open(3000)
    long.join()
    short.join()
    assert done == ["short", "long"]


def test_texts_of_a_model_that_mostly_waits_are_generated_side_by_side(load, gate) -> None:
    graph = load("counting", length=0, gate=gate.path, concurrent=True)
    contexts = [graph.context() for _ in range(3)]
    for context in contexts:
        _set(context, b"n")
    threads = [threading.Thread(target=each.compute) for each in contexts]
    for thread in threads:
        thread.start()
    for _ in threads:
        gate.await_arrival()
    gate.open(3)
    for thread, context in zip(threads, contexts, strict=True):
        thread.join()
        assert bytes(context.output(0)) == b""
        context.close()


def test_a_text_of_such_a_model_comes_token_by_token_too(load) -> None:
    graph = load("counting", length=2, concurrent=True)
    assert list(graph.stream("a")) == [b"a1 ", b"a2 "]
    with graph.context() as context:
        _set(context, b"[]", 1)
        _set(context, b"n")
        with pytest.raises(InvalidArgument):
            context.compute()


def test_whoever_leaves_such_a_text_holds_up_nobody(load, gate) -> None:
    graph = load("counting", length=1000, gate=gate.path, concurrent=True)
    context = graph.context()
    _set(context, b"n")
    thread = threading.Thread(target=_compute_and_be_lost, args=(context,))
    thread.start()
    gate.await_arrival()
    context._line._sock.shutdown(2)
    thread.join()
    gate.open()
    context.close()
    graph.close()
    wait_until_ended()


def test_a_model_of_tensors_has_no_single_tokens(shared) -> None:
    with shared("affine").context() as context:
        _set(context, b"1")
        with pytest.raises(InvalidArgument, match="everything at once"):
            context.compute_single()
        context.finish_single()


def test_whoever_leaves_in_the_middle_of_a_text_holds_up_nobody(load, gate) -> None:
    graph = load("counting", length=1000, gate=gate.path)
    context = graph.context()
    _set(context, b"n")
    thread = threading.Thread(target=_compute_and_be_lost, args=(context,))
    thread.start()
    gate.await_arrival()
    context._line._sock.shutdown(2)
    thread.join()
    gate.open()
    context.close()
    graph.close()
    wait_until_ended()


def _compute_and_be_lost(context) -> None:
    with pytest.raises(BackendLost):
        context.compute()
