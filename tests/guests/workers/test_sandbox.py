from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from onecopy import WorkerLost
from onecopy.guests.workers import sandbox, syscalls
from onecopy.guests.workers.pool import Pool
from onecopy.guests.workers.remote import WorkerProcess
from tests.guests.probing import WITH_PROBE, probe
from tests.processes import output_of

REFUSED = "PermissionError 1"
IMPORTS = "import fcntl, mmap, os, resource, signal, socket"


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    with Pool(services=WITH_PROBE, cache=tmp_path_factory.mktemp("modules")) as pool:
        if pool.stats()["unfiltered"]:
            pytest.skip(pool.stats()["unfiltered"])
        yield pool


@pytest.fixture
def worker(pool: Pool) -> WorkerProcess:
    return pool.workers[0]


@pytest.mark.parametrize(
    "attempt",
    [
        "open('/etc/passwd')",
        "open('/dev/shm/onecopy-test', 'w')",
        "os.stat('/etc')",
        "os.listdir('/')",
        "os.open('/proc/self/fd/%d' % worker._sock.fileno(), os.O_RDWR)",
        "os.mkdir('/tmp/onecopy-test')",
        "os.unlink('/tmp/onecopy-test')",
        "os.readlink('/proc/self/exe')",
        "socket.socket()",
        "socket.socketpair()",
        "os.fork()",
        "os.posix_spawn('/bin/true', ['true'], {})",
        "os.execv('/bin/true', ['true'])",
        "os.kill(os.getppid(), 0)",
        "os.pidfd_open(os.getppid())",
        "signal.pidfd_send_signal(3, 0)",
        "fcntl.fcntl(worker._sock.fileno(), fcntl.F_SETOWN, os.getppid())",
        "resource.prlimit(os.getppid(), resource.RLIMIT_CORE)",
        "os.sched_setaffinity(os.getppid(), {0})",
        "os.setpriority(os.PRIO_PROCESS, os.getppid(), 19)",
        "mmap.mmap(-1, 4096)",
    ],
)
def test_a_worker_is_refused(worker: WorkerProcess, attempt: str) -> None:
    assert probe(worker, f"{IMPORTS}\nfound = {attempt}") == REFUSED


@pytest.mark.parametrize("name", ["ptrace", "process_vm_readv", "bpf", "io_uring_setup", "mount"])
def test_a_worker_that_tries_the_worst_ends(tmp_path_factory, name: str) -> None:
    column = sandbox.MACHINES[os.uname().machine].column
    number = syscalls.KILLED[name][column]
    code = f"import ctypes; ctypes.CDLL(None).syscall({number}, 0, 0, 0)"
    cache = tmp_path_factory.mktemp("modules")
    with (
        Pool(services=WITH_PROBE, cache=cache) as pool,
        pytest.raises(WorkerLost, match="SIGSYS"),
    ):
        probe(pool.workers[0], code)


@pytest.mark.parametrize(
    "attempt",
    [
        "threading.Thread(target=print).start()",
        "mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()",
        "os.close(os.eventfd(0))",
        "os.close(os.dup(0))",
        "os.fstat(0)",
        "os.urandom(8)",
        "worker.keep_time()",
    ],
)
def test_what_guests_need_still_works(worker: WorkerProcess, attempt: str) -> None:
    assert probe(worker, f"import mmap, os, threading\n{attempt}\nfound = 1") == "1"


def test_a_worker_can_have_no_new_privileges_and_leaves_no_core(worker: WorkerProcess) -> None:
    with open(f"/proc/{worker.pid}/status") as file:
        status = dict(line.split(":\t", 1) for line in file.read().splitlines() if ":\t" in line)
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    assert probe(worker, "import resource; found = resource.getrlimit(resource.RLIMIT_CORE)") == (
        "(0, 0)"
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may look into everything")
def test_nobody_else_may_look_into_it(worker: WorkerProcess) -> None:
    with pytest.raises(PermissionError):
        Path(f"/proc/{worker.pid}/mem").read_bytes()


def test_a_worker_has_only_the_environment_that_it_needs(worker: WorkerProcess) -> None:
    names = probe(worker, "import os; found = sorted(os.environ)")
    assert "HOME" not in names
    assert "XDG_CACHE_HOME" not in names


def test_a_worker_imports_no_torch(worker: WorkerProcess) -> None:
    code = "import sys; found = {'torch', 'transformers'} & set(sys.modules)"
    assert probe(worker, code) == "set()"


@pytest.mark.parametrize("machine", sandbox.MACHINES.values(), ids=sandbox.MACHINES)
def test_every_filter_names_each_call_once_and_fits_the_kernel(machine: sandbox.Machine) -> None:
    code = sandbox.program(machine, 1234)
    operations = list(struct.iter_unpack("@HBBI", code))
    assert len(operations) < 4096
    tables = (syscalls.ALLOWED, syscalls.CHECKED, syscalls.ABSENT, syscalls.KILLED)
    names = [name for table in tables for name in table]
    assert len(names) == len(set(names))
    numbers = [table[name][machine.column] for table in tables for name in table]
    known = [number for number in numbers if number is not None]
    assert len(known) == len(set(known))
    assert set(sandbox.RULES) == set(syscalls.CHECKED)
    for at, (_, if_true, if_false, _) in enumerate(operations[:-1]):
        assert at + 1 + max(if_true, if_false) < len(operations)


def test_what_is_forbidden_later_is_refused_and_the_rest_stays_as_it_was() -> None:
    code = """
import os
from onecopy.guests.workers import sandbox, syscalls
seccomp = {"seccomp": (317, 277)}
print([sandbox.enter(seccomp)], os.getpid() > 0)
print([sandbox.forbid({"getpid": syscalls.ALLOWED["getpid"], **seccomp})])
for attempt in (os.getpid, os.fork, lambda: os.close(os.dup(0))):
    try:
        print(attempt() in (-1, None))
    except OSError as error:
        print(error.errno)
print(sandbox.forbid({}))
"""
    assert output_of(code).splitlines() == [
        *("[''] True", "['']", "True", "1", "True", "seccomp: Operation not permitted")
    ]


def test_a_worker_keeps_the_priority_of_its_engine(worker: WorkerProcess) -> None:
    assert os.getpriority(os.PRIO_PROCESS, worker.pid) == os.getpriority(os.PRIO_PROCESS, 0)
    assert os.sched_getscheduler(worker.pid) == os.sched_getscheduler(0)
