"""A worker that somebody has taken over: what it sends and writes costs its sequences, no more."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Iterator
from textwrap import dedent

import pytest

from onecopy import GuestError, OnecopyError, WorkerLost
from onecopy.guests.batch import station
from onecopy.guests.batch.answers import Allowed, Failed, Fork, Splice, Suspended
from onecopy.guests.batch.controllers import Controllers
from onecopy.guests.decoding.outcome import MAX_BRANCHES
from onecopy.guests.decoding.vocabulary import Vocabulary
from onecopy.guests.workers.handle import Guest
from onecopy.guests.workers.pool import SERVICES, Pool
from tests.guests.probing import Tell, probe
from tests.guests.waiting import eventually

pytest.importorskip("numpy")
pytest.importorskip("torch")

WITH_PROBE = (*SERVICES, "tests.guests.probing")
BENCH = """
import fcntl, os, random
(bench, opener), = worker.service("sequences")._benches.values()
words, slot = bench.board.words, bench.slot
def tried(act):
    try:
        act()
    except OSError as error:
        return error.errno
"""


@pytest.fixture
def pool() -> Iterator[Pool]:
    """One worker that runs what tests tell it to."""
    with Pool(workers=1, guest_ms=2000, step_ms=500, services=WITH_PROBE) as pool:
        yield pool


@pytest.fixture
def controllers(vocabulary: Vocabulary, pool: Pool) -> Iterator[Controllers]:
    """A batch of eight."""
    with Controllers(None, vocabulary, pool, batch=8, biases=True, keep=0) as controllers:
        yield controllers


def recovers(controllers: Controllers, sequence: object) -> bool:
    """Step; return whether it is answered again."""
    outcome = controllers.step({sequence: []}).outcomes[sequence]  # type: ignore[dict-item]
    assert isinstance(outcome, Allowed | Suspended)
    return isinstance(outcome, Allowed)


def test_it_cannot_make_the_engine_wait_on_what_they_share(
    controllers: Controllers, pool: Pool, scripted: bytes
) -> None:
    sequence = controllers.open(scripted)
    controllers.step({sequence: []})
    refused = """
    shared = (bench._bell, bench._done, opener._opened)
    found = [tried(lambda: fcntl.fcntl(fd, fcntl.F_SETFL, 0)) for fd in shared]
    found += [tried(lambda: os.set_blocking(fd, True)) for fd in shared]
    # The engine maps rows of it again and again.
    found += [tried(lambda: fcntl.fcntl(fd, fcntl.F_ADD_SEALS, 0x10))
              for fd in (bench.rows.fd, bench.board.fd)]
    found += [tried(lambda: os.ftruncate(fd, 0)) for fd in (bench.rows.fd, bench.board.fd)]
    found = set(found)
    """
    if pool.stats()["unfiltered"]:
        pytest.skip("nothing filters its system calls")
    assert probe(pool.workers[0], BENCH + dedent(refused)) == "{1}"


def test_a_bell_that_it_fills_costs_it_and_not_the_engine(
    controllers: Controllers, pool: Pool, scripted: bytes
) -> None:
    sequence = controllers.open(scripted)
    controllers.step({sequence: []})
    worker = pool.workers[0]
    probe(worker, BENCH + "worker.unwatch(bench._bell); os.eventfd_write(bench._bell, 2**64 - 2)")
    controllers.step({sequence: []})
    eventually(lambda: recovers(controllers, sequence))
    assert "bell" in worker.reason


def test_it_may_empty_and_fill_the_other_eventfds(
    controllers: Controllers, pool: Pool, scripted: bytes
) -> None:
    sequence = controllers.open(scripted)
    controllers.step({sequence: []})
    probe(
        pool.workers[0],
        BENCH + "for fd in (bench._done, opener._opened): os.eventfd_write(fd, 2**64 - 2)",
    )
    assert recovers(controllers, sequence)
    # It may have ended by what it filled itself, when it rang before the engine had looked.
    eventually(lambda: recovers(controllers, sequence))
    probe(
        pool.workers[0],
        BENCH
        + dedent("""
        import threading
        def drain(fd):
            while True:
                tried(lambda: os.eventfd_read(fd))
        for fd in (bench._done, opener._opened):
            threading.Thread(target=drain, args=(fd,), daemon=True).start()
        """),
    )
    for _ in range(20):
        controllers.step({sequence: []})
    pool.workers[0].kill("by a test")
    eventually(lambda: recovers(controllers, sequence))


@pytest.mark.parametrize("seed", range(3))
def test_whatever_it_writes_to_the_board_the_engine_gives_sound_answers(
    controllers: Controllers, pool: Pool, vocabulary: Vocabulary, scripted: bytes, seed: int
) -> None:
    probe(
        pool.workers[0],
        "real = worker.service('sequences')\nimport random\n" + f"dice = random.Random({seed})",
    )
    sequences = [controllers.open(scripted) for _ in range(3)]
    controllers.step({each: [] for each in sequences})
    garbage = """
    def run():
        tried(lambda: os.eventfd_read(bench._bell))
        for row in range(8):
            line = bench.board.line(row)
            for at in range(2050, 2100):
                words[line + at] = dice.choice((0, 1, 2, 99, 5000, 2**31, dice.getrandbits(32)))
            words[line + 2049] = dice.choice((1, 2, 2, 3, 3, 4, 5, 5, 7, 99))
            words[line + 2048] = words[slot] if dice.random() < 0.97 else dice.getrandbits(32)
        for at in (3, 4):
            words[slot + at] = dice.getrandbits(32)
        words[slot + 2] = words[slot]
        os.eventfd_write(bench._done, 1)
    worker._watched[bench._bell] = run
    """
    probe(pool.workers[0], BENCH + dedent(garbage))
    dice = random.Random(seed)
    live = dict.fromkeys(sequences)
    for _ in range(150):
        chosen = {each: [] for each in live if dice.random() < 0.8}
        for each, answer in controllers.step(chosen).outcomes.items():
            if isinstance(answer, Splice):
                assert all(token < vocabulary.size for token in answer.tokens)
            if isinstance(answer, Fork):
                assert len(answer.sequences) <= MAX_BRANCHES
                live.update(dict.fromkeys(answer.sequences))
            if isinstance(answer, Failed):
                assert isinstance(answer.error, OnecopyError)
            if not isinstance(answer, Allowed | Splice | Fork) and dice.random() < 0.5:
                del live[each]
                each.close()
            assert all(0 <= token < vocabulary.size for token in each.tokens)
        if len(live) < 3:
            live[controllers.open(scripted)] = None


@pytest.mark.parametrize("late", [False, True])
def test_masks_that_it_empties_fail_their_sequences_only(
    controllers: Controllers, pool: Pool, scripted: bytes, late: bool
) -> None:
    empty, beyond, other = (controllers.open(scripted) for _ in range(3))
    controllers.step({empty: [], beyond: [], other: []})
    answer = f"""
    def run():
        tried(lambda: os.eventfd_read(bench._bell))
        for row in range(8):
            line = bench.board.line(row)
            words[line + 2049] = 1
            words[line + 2048] = words[slot]
            bench.rows.mask_array[row] = 1 << 7
        bench.rows.mask_array[{empty.row}] = 0
        bench.rows.mask_array[{beyond.row}, -1] = 0xFFFFFFFF
        words[slot + 2] = words[slot]
        os.eventfd_write(bench._done, 1)
    worker._watched[bench._bell] = (lambda: os.eventfd_read(bench._bell)) if {late} else run
    """
    probe(pool.workers[0], BENCH + dedent(answer))
    step = controllers.step({empty: [], beyond: [], other: []})
    if late:
        assert len(step.late) == 3
        probe(pool.workers[0], "run()")
        step = controllers.step({empty: [], beyond: [], other: []})
    failed = step.outcomes[empty]
    assert isinstance(failed, Failed)
    assert "impossible" in str(failed.error)
    assert step.mask_array[empty.row].any()
    for each in (beyond, other):
        assert isinstance(step.outcomes[each], Allowed)
    probe(pool.workers[0], "bench.rows.mask_array[:] = 0")
    bits = step.mask[other.row].tolist()
    assert bits[:-1] == [1 << 7] * (len(bits) - 1)
    assert not int(step.mask_array[beyond.row, -1]) >> controllers.vocabulary.size % 32


def test_an_opening_that_it_answers_with_nonsense_fails(
    controllers: Controllers, pool: Pool, scripted: bytes
) -> None:
    first = controllers.open(scripted)
    code = """
    def answer(line, outcome):
        bench.board.answer(line, 2, 0, [4_000_000_000])
    bench.caller.answer = answer
    """
    probe(pool.workers[0], BENCH + dedent(code))
    with pytest.raises(GuestError, match="impossible"):
        controllers.open(scripted)
    assert first.state == "ready"


def test_one_that_hangs_without_a_word_is_replaced(
    controllers: Controllers, pool: Pool, scripted: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(station, "_PATIENCE", -20.0)  # of the guests' own time nothing is left
    sequence = controllers.open(scripted)
    controllers.step({sequence: []})
    worker = pool.workers[0]
    os.kill(worker.pid, signal.SIGSTOP)
    assert isinstance(controllers.step({sequence: []}).outcomes[sequence], Suspended)
    eventually(lambda: recovers(controllers, sequence))
    assert "did not finish a step" in worker.reason


@pytest.mark.parametrize(
    "answer", [b"", b"garbage", b"\xc1", b"\xc1\x01", b"\x91\xa4Done", b"\xff"]
)
def test_an_answer_that_is_none_ends_it(
    pool: Pool, wat: Callable[[str], bytes], answer: bytes
) -> None:
    module = wat('(module (memory (export "memory") 1) (func (export "f")))')
    with Guest(module, pool=pool) as guest:
        guest.call("f")
        code = f"worker._call = lambda data: {answer!r}"
        guest.worker.send(Tell(code))
        with pytest.raises(WorkerLost, match="no answer"):
            guest.call("f")
        assert guest.failed
    with Guest(module, pool=pool) as guest:
        guest.call("f")
