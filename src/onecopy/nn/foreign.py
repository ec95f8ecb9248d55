"""Models that guests bring as bytes: sealed, and named by what they are."""

from __future__ import annotations

import os

# Without hashlib, which loads OpenSSL: this is in the process of every guest.
from _blake2 import blake2b
from typing import TYPE_CHECKING, Final

from onecopy.errors import InvalidArgument, InvalidModel
from onecopy.segments import region

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onecopy.nn.service.launch import Wanted

BUILDERS: Final = 16
"""How many parts a model may have."""
NBYTES: Final = 4 << 30
"""How many bytes they may have together."""
_LEAST_MEMORY: Final = 4 << 30
_MEMORY_FACTOR: Final = 8
_CHUNK: Final = 1 << 24

# The beginnings of files, for guests that leave it to us what theirs is.
_MAGIC: Final = (
    (0, b"GGUF", "ggml"),
    (4, b"TFL3", "tensorflowlite"),
    (0, b"PK\x03\x04", "pytorch"),
)


class Brought:
    """The parts of a model in sealed memfds, which are closed when nobody needs this any more."""

    def __init__(self, fds: Sequence[int]) -> None:
        self.fds = tuple(fds)
        try:
            self.nbytes = _check(self.fds)
            self.digest = _digest(self.fds)
        except BaseException:
            self.close()
            raise
        self.name = f"bytes:{self.digest[:12]}"

    @staticmethod
    def of(builders: Sequence[bytes | memoryview]) -> Brought:
        """Copy bytes into memfds."""
        fds: list[int] = []
        try:
            for each in builders[: BUILDERS + 1]:
                fds.append(region.create("onecopy-nn-model"))
                region.write(fds[-1], [memoryview(each).cast("B")])
                region.seal(fds[-1])
        except BaseException:
            for fd in fds:
                os.close(fd)
            raise
        return Brought(fds)

    def wanted(self, encoding: str, idle: float) -> Wanted:
        """Return what to ask for, to have it run.

        Raises:
            BackendMissing: nothing takes such an encoding.
        """
        from onecopy.nn.backends import registry
        from onecopy.nn.backends.backend import Source
        from onecopy.nn.service.launch import Wanted

        if encoding == "autodetect":
            encoding = self._detect()
        source = Source(
            backend=registry.for_encoding(encoding),
            files=tuple(f"/proc/self/fd/{fd}" for fd in self.fds),
            foreign=True,
        )
        return Wanted(
            source=source,
            name=self.name,
            idle=idle,
            content=self.digest,
            fds=self.fds,
            memory=max(_LEAST_MEMORY, _MEMORY_FACTOR * self.nbytes),
        )

    def _detect(self) -> str:
        start = os.pread(self.fds[0], 64, 0)
        for offset, magic, encoding in _MAGIC:
            if start[offset:].startswith(magic):
                return encoding
        if start.lstrip()[:1] == b"<":
            return "openvino"
        return "onnx"  # which begins with no magic

    def close(self) -> None:
        """Close the memfds."""
        fds, self.fds = self.fds, ()
        for fd in fds:
            os.close(fd)

    def __del__(self) -> None:
        self.close()


def _check(fds: Sequence[int]) -> int:
    if not 1 <= len(fds) <= BUILDERS:
        raise InvalidArgument(f"{len(fds)} parts of a model; there may be 1 to {BUILDERS}")
    total = 0
    for fd in fds:
        # What can still change, or be cut short, is not what was hashed.
        if not region.keeps_size(fd):
            raise InvalidArgument("the parts of a model have to be sealed memfds")
        nbytes = os.fstat(fd).st_size
        region.check(fd, nbytes)
        total += nbytes
        if total > NBYTES:
            raise InvalidArgument(f"a model of over {NBYTES} bytes; have the host give it a name")
    if not total:
        raise InvalidModel("the model has no bytes")
    return total


def _digest(fds: Sequence[int]) -> str:
    whole = blake2b(digest_size=16)
    for fd in fds:
        part, offset = blake2b(digest_size=32), 0
        while chunk := os.pread(fd, _CHUNK, offset):
            part.update(chunk)
            offset += len(chunk)
        whole.update(part.digest())
    return whole.hexdigest()
