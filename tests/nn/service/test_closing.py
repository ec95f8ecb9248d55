"""What the process of a model that a guest brought can no longer do."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from onecopy.guests.workers.sandbox import MACHINES
from onecopy.nn.guest import landlock

_PROBE = """
import ctypes, json, os, resource, signal, socket, subprocess, sys, tempfile, threading
folder, parent = sys.argv[1], int(sys.argv[2])
with open(folder + "/secret", "w") as file:
    file.write("secret")
inside = os.memfd_create("model")
os.write(inside, b"model")
from onecopy.nn.service.closing import close_off
lacks = close_off(1 << 30)

def read(path):
    with open(path, "rb") as file:
        return file.read(100)

def exec():
    os.execv("/bin/true", ["true"])

def lock():
    fd = os.open(folder + "/secret", os.O_PATH)
    return read(f"/proc/self/fd/{fd}")

def allocate():
    return len(bytearray(2 << 30))

def thread():
    done = []
    each = threading.Thread(target=lambda: done.append(1))
    each.start()
    each.join()
    return done

attempts = {
    "read a secret": lambda: read(folder + "/secret"),
    "read it by a descriptor of its path": lock,
    "read who there is": lambda: read("/etc/passwd"),
    "read another process's environment": lambda: read(f"/proc/{parent}/environ"),
    "write a file": lambda: open(folder + "/new", "w"),
    "write a library": lambda: open(os.__file__, "a"),
    "remove a file": lambda: os.unlink(folder + "/secret"),
    "make a folder": lambda: os.mkdir(folder + "/made"),
    "make a socket": lambda: socket.socket(socket.AF_INET),
    "make a local socket": lambda: socket.socket(socket.AF_UNIX),
    "make a pair of sockets": lambda: socket.socketpair(),
    "fork": lambda: os.fork() or os._exit(0),
    "start a program": lambda: subprocess.run(["/bin/true"]),
    "become a program": exec,
    "signal another": lambda: os.kill(parent, 0),
    "allocate too much": allocate,
    "make a memfd": lambda: os.memfd_create("more"),
    "raise its limit": lambda: resource.setrlimit(resource.RLIMIT_DATA, (1 << 40, 1 << 40)),
    "import a module of the library": lambda: __import__("xml.dom.minidom").__name__,
    "import numpy": lambda: __import__("numpy").ones(3).sum().item(),
    "read the model": lambda: read(f"/proc/self/fd/{inside}").decode(),
    "have a thread": thread,
}
found = {}
for name, act in attempts.items():
    try:
        found[name] = act()
    except (OSError, MemoryError, ValueError) as error:
        found[name] = type(error).__name__
    if isinstance(found[name], bytes):
        found[name] = repr(found[name])
print(json.dumps([lacks, {name: str(each) for name, each in found.items()}]))
"""

_ALLOWED = {
    "import a module of the library": "xml",
    "import numpy": "3.0",
    "read the model": "model",
    "have a thread": "[1]",
}


@pytest.mark.skipif(not landlock.version(), reason="this kernel has no Landlock")
@pytest.mark.skipif(__import__("platform").machine() not in MACHINES, reason="no filter for it")
def test_it_can_load_libraries_and_compute_and_nothing_else(tmp_path) -> None:
    import os

    done = subprocess.run(
        [sys.executable, "-c", _PROBE, str(tmp_path), str(os.getpid())],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lacks, found = json.loads(done.stdout)
    assert lacks == []
    assert {name: found.pop(name) for name in _ALLOWED} == _ALLOWED
    errors = {"PermissionError", "OSError", "MemoryError", "ValueError", "BlockingIOError"}
    assert {name: each for name, each in found.items() if each not in errors} == {}
    assert [each.name for each in tmp_path.iterdir() if each.name != "run"] == ["secret"]
