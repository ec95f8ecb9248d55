"""Running pieces of a test in other processes that have imported torch already.

Importing torch takes more than a second of a processor. A server does it once for a session, does
nothing else, and forks for every piece: its threads, memory and modules are those of a fresh
interpreter after `import torch`. Tests of what is imported when need `tests.processes`.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

_START = 60.0
_SERVER = """
import json, os, socket, sys, types
import torch

sock = socket.socket(fileno=int(sys.argv[1]))
while True:
    told, streams, *_ = socket.recv_fds(sock, 1 << 20, 3)
    child = told and os.fork()
    if not child:
        break
    for each in streams:
        os.close(each)
    sock.send(str(child).encode())
    sock.send(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])).encode())
sock.close()
if told:
    told = json.loads(told)
    for number, each in enumerate(streams):
        os.dup2(each, number)
        os.close(each)
    os.environ.clear()
    os.environ.update(told["environment"])
    os.chdir(told["folder"])
    sys.argv[1:] = told["arguments"]
    server, sys.modules["__main__"] = sys.modules["__main__"], types.ModuleType("__main__")
    exec(compile(told["code"], "<string>", "exec"), vars(sys.modules["__main__"]))
"""


@functools.cache
def _server() -> socket.socket:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        line = [sys.executable, "-c", _SERVER, str(theirs.fileno())]
        process = subprocess.Popen(line, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()])

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


def output_of(code: str, *arguments: object, timeout: float = 60) -> str:
    """Run `code` and return what it prints; it must succeed."""
    told = {
        "code": textwrap.dedent(code),
        "arguments": list(map(str, arguments)),
        "environment": dict(os.environ),
        "folder": str(Path.cwd()),
    }
    with (
        open(os.devnull) as nothing,
        tempfile.TemporaryFile() as output,
        tempfile.TemporaryFile() as errors,
    ):
        streams = [each.fileno() for each in (nothing, output, errors)]
        status = _run(json.dumps(told).encode(), streams, timeout)
        for each in (output, errors):
            each.seek(0)
        assert status == 0, errors.read().decode()
        return output.read().decode().strip()


def _run(told: bytes, streams: list[int], timeout: float) -> int:
    server = _server()
    server.settimeout(_START)
    socket.send_fds(server, [told], streams)
    child = int(server.recv(100))
    server.settimeout(timeout)
    try:
        return int(server.recv(100))
    except TimeoutError:
        os.kill(child, signal.SIGKILL)
        server.recv(100)
        raise
