from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from onecopy.errors import GuestError, InvalidArgument, InvalidModule, OnecopyError
from onecopy.guests.wasm.module import Module
from onecopy.guests.workers.messages import Failed, Forget, Load, Ping, memfd
from onecopy.guests.workers.pool import Pool
from onecopy.guests.workers.remote import WorkerProcess
from tests.guests.probing import WITH_PROBE, Tell, probe
from tests.guests.waiting import eventually
from tests.processes import script

SMALL = '(module (memory (export "memory") 1) (func (export "f")))'


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    with Pool(services=WITH_PROBE, cache=tmp_path_factory.mktemp("modules")) as pool:
        yield pool


@pytest.fixture
def worker(pool: Pool) -> WorkerProcess:
    return pool.workers[0]


def test_it_watches_descriptors_between_requests(worker: WorkerProcess) -> None:
    fd = os.eventfd(0)
    code = """
        import os
        kept, seen = os.dup(fds[0]), []
        worker.watch(kept, lambda: seen.append(os.eventfd_read(kept)))
    """
    probe(worker, code, fd)
    os.eventfd_write(fd, 5)
    eventually(lambda: probe(worker, "found = seen") == "[5]")
    probe(worker, "worker.unwatch(kept)")
    os.eventfd_write(fd, 6)
    assert probe(worker, "found = seen") == "[5]"
    os.close(fd)


def test_a_watch_may_end_another_one_that_is_due(worker: WorkerProcess) -> None:
    fds = [os.eventfd(0), os.eventfd(0)]
    code = """
        import os
        both, called = [os.dup(fd) for fd in fds], []
        def first_come(index):
            called.append(index)
            for fd in both:
                worker.unwatch(fd)
        for index, fd in enumerate(both):
            worker.watch(fd, lambda index=index: first_come(index))
        for fd in both:
            os.eventfd_write(fd, 1)
    """
    probe(worker, code, *fds)
    eventually(lambda: probe(worker, "found = len(called)") == "1")
    assert probe(worker, "found = len(called)") == "1"
    for fd in fds:
        os.close(fd)


def test_messages_without_answer_are_done_in_order(worker: WorkerProcess) -> None:
    worker.send(Tell("order = [1]"))
    worker.send(Tell("order.append(2)"))
    assert probe(worker, "found = order") == "[1, 2]"


def test_what_it_does_not_know_is_refused(worker: WorkerProcess) -> None:
    with pytest.raises(OnecopyError, match="not a message"):
        worker.request(Unknown())
    worker.request(Ping())


class Unknown(Ping, frozen=True, gc=False):
    """No service has this."""


def test_long_messages_arrive_whole(worker: WorkerProcess) -> None:
    assert probe(worker, f"text = '{'x' * 1_000_000}'; found = len(text)") == "1000000"


def test_messages_over_the_limit_are_refused(worker: WorkerProcess) -> None:
    with pytest.raises(InvalidArgument, match="put large data in a window"):
        probe(worker, "x" * (65 << 20))
    worker.request(Ping())


def test_modules_are_sent_once_and_forgotten_when_there_are_too_many(
    pool: Pool, worker: WorkerProcess, wat: Callable[[str], bytes]
) -> None:
    native = pool.module(wat(SMALL)).native
    for number in range(130):
        worker.ensure(Module(f"{number:064x}", native))
    assert int(probe(worker, "found = len(worker.modules)")) == 128


def test_what_is_no_guest_is_refused_by_its_type(
    pool: Pool, worker: WorkerProcess, wat: Callable[[str], bytes]
) -> None:
    with pytest.raises(InvalidModule, match="exactly one memory"):
        worker.ensure(pool.module(wat("(module)")))


def test_a_module_that_was_forgotten_is_not_there(worker: WorkerProcess) -> None:
    worker.request(Forget("0" * 64))
    assert probe(worker, f"found = '{'0' * 64}' in worker.modules") == "False"


def test_native_code_that_is_none_is_an_error_of_the_request(worker: WorkerProcess) -> None:
    fd = memfd(b"this is no native code")
    with pytest.raises(InvalidModule, match="not native code"):
        worker.request(Load("0" * 64), (fd,))
    os.close(fd)


def test_an_error_of_an_unknown_class_is_still_an_error() -> None:
    assert isinstance(Failed("SystemExit", "text").to_error(), GuestError)


def test_it_ends_when_its_engine_is_killed_even_if_forked_children_live_on() -> None:
    code = """
        import os, sys, time
        from onecopy.guests.workers.pool import Pool
        pool = Pool()
        child = os.fork()
        if not child:
            os.read(0, 1)
            os._exit(0)
        print(pool.workers[0].pid, flush=True)
        sys.stdin.read()
    """
    with script(code) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.communicate()
        pid = int(line)
        process.kill()
        eventually(lambda: not Path(f"/proc/{pid}").exists())
        process.communicate()


def test_interrupts_of_the_terminal_do_not_reach_it(worker: WorkerProcess) -> None:
    os.kill(worker.pid, 2)
    worker.request(Ping())
    assert os.getsid(worker.pid) == worker.pid
