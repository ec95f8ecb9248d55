"""The worker's process: closed off, and gone with its server."""

from __future__ import annotations

import asyncio
import os
import re
import select
import signal
import subprocess
import sys
from pathlib import Path

from onecopy.nn.guest import landlock
from tests.agents.worker.hosts import Silent

SERVER = """
import asyncio, sys
from pathlib import Path
from onecopy.agents.worker.pool import Workers

async def main():
    async with Workers(Path(sys.argv[1]), cache=Path(sys.argv[2])) as workers:
        print(workers.pids[0], flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


def test_a_worker_is_closed_off(workers):
    async def main():
        async with workers() as pool:
            host = Silent()
            task = asyncio.create_task(pool.run('"call"', host))
            await host.asked.wait()  # with a guest's thread in it
            for status in Path(f"/proc/{pool.pids[0]}/task").glob("*/status"):
                found = dict(re.findall(r"^(\w+):\t(.*)$", status.read_text(), re.M))
                assert (found["NoNewPrivs"], found["Seccomp"]) == ("1", "2")
            task.cancel()

    asyncio.run(main())


ESCAPED = """
import os, signal, socket, sys
from onecopy.agents.worker.limits import Limits
from onecopy.agents.worker.process import close_off

tries = {
    "file": lambda: os.open("/etc/passwd", os.O_RDONLY),
    "made": lambda: os.open("/tmp/made", os.O_CREAT),
    "memory": lambda: os.open("/proc/self/mem", os.O_RDWR),
    "socket": lambda: socket.socket(),
    "fork": lambda: os.fork(),
    "signal": lambda: os.kill(os.getppid(), 0),
    "program": lambda: os.execv("/bin/true", ["true"]),
    "priority": lambda: os.setpriority(os.PRIO_PROCESS, os.getppid(), 5),
    "much memory": lambda: bytearray(3 << 30),
}
lacks = close_off(Limits(concurrent=1))
for name, act in tries.items():
    try:
        act()
        print(name, "succeeds")
    except (PermissionError, MemoryError):
        pass
print(*lacks)
"""


def test_what_has_escaped_can_reach_nothing():
    done = subprocess.run(
        [sys.executable, "-c", ESCAPED], capture_output=True, text=True, check=True, timeout=60
    )
    lacks = [] if landlock.version() else ["this", "kernel"]
    assert done.stdout.split()[:2] == lacks


def test_it_holds_nothing_open_but_its_ends(workers):
    async def main():
        async with workers() as pool:
            folder = Path(f"/proc/{pool.pids[0]}/fd")
            if not os.access(folder, os.R_OK):
                return  # another user's, since it is closed off
            found = sorted(str(each.readlink()).partition(":")[0] for each in folder.iterdir())
            # The memfd is sealed: it has the native code, of which each run maps the data.
            assert set(found) <= {"/dev/null", "pipe", "socket", "/memfd"}
            assert found.count("socket") == 1

    asyncio.run(main())


def test_its_files_are_out_of_reach_where_the_kernel_can_do_that(workers, caplog):
    async def main():
        async with workers():
            pass

    asyncio.run(main())
    assert ("Landlock" in caplog.text) == (not landlock.version())


def test_it_ends_with_its_server(actions, shared_folder, tmp_path):
    component = tmp_path / "agent.wasm"
    component.write_bytes(actions)
    command = [sys.executable, "-c", SERVER, str(component), str(shared_folder / "onecopy/modules")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        pidfd = os.pidfd_open(int(server.stdout.readline()))
        try:
            server.send_signal(signal.SIGKILL)
            assert select.select([pidfd], [], [], 60)[0]
        finally:
            os.close(pidfd)
