"""Backends for tests of the service: models that do arithmetic, count, wait and misbehave.

A model is a JSON file: `{"kind": ..., ...}`. They are real backends, loaded by a real process.
"""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import onecopy
from onecopy.errors import (
    ContextFull,
    EndOfSequence,
    InferenceFailed,
    InvalidArgument,
    InvalidModel,
)
from onecopy.nn.backends.backend import Port

BACKEND = f"{__name__}:Arithmetic"


def write(path: Path, kind: str, **fields) -> Path:
    """Write the file of a model."""
    path.write_text(json.dumps({"kind": kind, **fields}))
    return path


class Arithmetic:
    encodings = ("arithmetic",)
    suffixes = (".arithmetic",)

    def load(self, source):
        try:
            fields = json.loads(_read(source))
            kind = _KINDS[fields.pop("kind")]
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidModel(f"no model: {error}") from None
        return kind(**fields, **source.options)


class Affine:
    """y = scale * x, for any shape; counts how often it was asked, and for how many rows."""

    def __init__(self, scale=2, batch=1, ports=True, gate=""):
        self.inputs = (Port("x", "", None),) if ports else ()
        self.outputs = (Port("y", "", None), Port("log", "i64", None)) if ports else ()
        self.batch = batch
        self._scale, self._gate = scale, gate
        self._runs = []

    def infer(self, inputs):
        import numpy as np

        if len(inputs) != 1 or inputs[0] is None:
            raise InvalidArgument("one input, please")
        if self._gate:
            _pass(self._gate)
        (x,) = inputs
        if x.dtype.kind == "f" and np.isnan(x).any():
            raise InferenceFailed("not a number")
        rows = x.shape[0] if x.ndim else 0
        self._runs.append(rows)
        return [(x * self._scale).astype(x.dtype), np.full((max(rows, 1), 1), rows, np.int64)]


class Repeat:
    """Returns its input so many times over: larger than what came in."""

    inputs = (Port("x", "", None),)
    outputs = (Port("y", "", None),)
    batch = 1

    def __init__(self, times=10):
        self._times = times

    def infer(self, inputs):
        import numpy as np

        return [np.tile(inputs[0].reshape(-1), self._times)]


class Misbehave:
    """Ends, hangs or raises, as the input says."""

    inputs = (Port("what", "u8", None),)
    outputs = (Port("y", "u8", None),)
    batch = 1

    def infer(self, inputs):
        import numpy as np

        what = bytes(inputs[0]).decode()
        if what == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "crash":
            print("the last thing that it said", flush=True)
            os.abort()
        if what == "raise":
            raise RuntimeError("unexpected")
        if what == "complex":
            return [np.zeros(3, np.complex64)]
        if what == "environment":
            return [np.frombuffer(json.dumps(dict(os.environ)).encode(), np.uint8)]
        if what == "many":
            return [inputs[0]] * 65
        if what == "deep":
            return [inputs[0].reshape((1,) * 16 + (-1,))]
        if what == "large":
            return [np.broadcast_to(inputs[0][0], (1 << 33, 2))]
        if what.startswith("wait "):
            _pass(what[5:])
        return [inputs[0]]


class Counting:
    """Continues every prompt by counting: a word for each token."""

    def __init__(self, length=5, room=1000, gate="", concurrent=False):
        self.concurrent = concurrent
        self._length, self._room, self._gate = length, room, gate

    def session(self, options):
        return Conversation(int(options.get("length", self._length)), self._room, self._gate)

    def embed(self, text, options):
        return [float(len(text)), 0.5]

    def close(self):
        pass


class Conversation:
    def __init__(self, length, room, gate):
        self._graph_length, self._room, self._gate = length, room, gate
        self._length = length
        self._prompt, self._at = b"", 0

    def begin(self, prompt, options):
        self._prompt, self._at = prompt, 0
        self._length = int(options.get("length", self._graph_length))

    def advance(self):
        if self._gate:
            _pass(self._gate)
        if self._at >= self._room:
            raise ContextFull("no room")
        if self._at >= self._length:
            raise EndOfSequence("counted")
        self._at += 1
        return self._prompt + b"%d " % self._at

    def metadata(self):
        return {"input_tokens": len(self._prompt), "output_tokens": self._at}

    def close(self):
        pass


def _read(source):
    """Return the text of a model: a file's, or that of an entry of bytes, which stays mapped."""
    if source.files:
        return Path(source.files[0]).read_text()
    with onecopy.connect(source.store, timeout=0) as store:
        _mapped.append(store.load(source.entry))
        return bytes(_mapped[-1])


_mapped = []


def _pass(gate):
    """Say at a gate (a named pipe) that somebody is there, and wait until it is opened.

    Who opens a gate reads one byte for each that passes, then writes its answer.
    """
    with open(f"{gate}.in", "wb", buffering=0) as arrived:
        arrived.write(b".")
    with open(f"{gate}.out", "rb", buffering=0) as opened:
        opened.read(1)


class Dying:
    """Ends while it is loaded, the first so many times (counted by files)."""

    def __new__(cls, times=1, folder="", **fields):
        seen = len(list(Path(folder).glob("died*")))
        if seen < times:
            Path(folder, f"died{seen}").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return Affine(**fields)


class Slow:
    """Takes a while to load: until a gate is opened."""

    def __new__(cls, gate="", **fields):
        _pass(gate)
        return Affine(**fields)


class Broken:
    """Fails in a way of its own while it is loaded."""

    def __init__(self):
        time.sleep(0)
        raise RuntimeError("a bug in a backend")


_KINDS = {
    "affine": Affine,
    "repeat": Repeat,
    "misbehave": Misbehave,
    "counting": Counting,
    "dying": Dying,
    "slow": Slow,
    "broken": Broken,
}
