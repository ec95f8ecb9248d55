"""One run: the host's calls, sleeps, the log and the limits, without a guest."""

from __future__ import annotations

import pytest

from onecopy.agents.calls import TOO_LARGE, Call, Refusal, Reply
from onecopy.agents.worker.limits import LOG_LINE_NBYTES, Limits
from onecopy.agents.worker.messages import Answer, Asked, Begin, Logged
from onecopy.agents.worker.run import CANCELLED, Run, Stop

NOW = 1_000_000_000_000
CALL = Call("kv.get", ["agent", "key"])


@pytest.fixture
def sent():
    return []


@pytest.fixture
def begin(sent):
    """Makes a run that gets `answers` as it asks."""

    def begin(*answers, waits=True, send=None, **limits):
        # The thread of the tests has computed for others before.
        limits.setdefault("cpu_seconds", 1e6)
        run = Run(
            Begin(1, "event", b"seed", NOW, waits, 0.0), Limits(**limits), send or sent.append
        )
        for answer in answers:
            run.answer(answer)
        return run

    return begin


def test_a_call_gets_its_answer_and_time(begin, sent):
    run = begin(Answer(1, "value", None, NOW + 5), Answer(1, None, Refusal("c", "m"), NOW + 4))
    assert run.ask(CALL) == Reply("value")
    assert run.clock.now_ns == NOW + 5
    assert run.ask(CALL) == Reply(error=Refusal("c", "m"))
    assert run.clock.now_ns == NOW + 5
    assert sent == [Asked(1, CALL)] * 2


def test_calls_have_an_end(begin, sent):
    run = begin(Answer(1, "value", None, 0), calls=1)
    run.ask(CALL)
    with pytest.raises(Stop, match="raise `calls`"):
        run.ask(CALL)
    assert len(sent) == 1


def test_a_call_that_is_too_long_is_refused_here(begin):
    def send(message):
        raise OverflowError

    assert begin(send=send).ask(CALL).error.code == TOO_LARGE


def test_a_cancelled_run_stops_wherever_it_is(begin):
    for act in (Run.check, lambda run: run.ask(CALL), lambda run: run.sleep_until(1 << 62)):
        run = begin()
        run.cancel()
        with pytest.raises(Stop, match=CANCELLED):
            act(run)


def test_a_run_that_waits_for_its_host_stops_in_time(begin):
    with pytest.raises(Stop, match="raise `seconds`"):
        begin(seconds=0.01).ask(CALL)


def test_a_run_that_sleeps_stops_in_time(begin):
    for waits in (True, False):
        run = begin(seconds=0.01, waits=waits)
        with pytest.raises(Stop, match="raise `seconds`"):
            run.sleep_until(1 << 62)


def test_a_run_that_computes_stops_in_time(begin):
    with pytest.raises(Stop, match="raise `cpu_seconds`"):
        begin(cpu_seconds=0.0).check()
    with pytest.raises(Stop, match="raise `seconds`"):
        begin(seconds=0.0, cpu_seconds=1000.0).check()


def test_a_sleep_moves_the_clock(begin):
    for waits in (True, False):
        run = begin(waits=waits)
        before = run.clock.monotonic_ns
        run.sleep_until(before + 1000)
        assert run.clock.monotonic_ns == before + 1000
        run.sleep_until(before)
        assert run.clock.monotonic_ns == before + 1000


def test_the_first_failure_counts(begin):
    run = begin()
    run.fail("first")
    run.fail("second")
    assert run.failure == "first"


def test_the_log_is_bounded(begin, sent):
    run = begin(log=100)
    lines = [Call("log.write", ["info", "x" * (50 - LOG_LINE_NBYTES)])] * 5
    for line in lines:
        run.log(line)
    assert sent[:2] == [Logged(1, line) for line in lines[:2]]
    assert "raise `log`" in sent[2].call.arguments[1]
    assert len(sent) == 3


def test_what_is_printed_is_logged(begin, sent):
    begin().holdings.written(2, b"text\n")
    assert sent == [Logged(1, Call("log.write", ["warning", "text"]))]
