"""Files that lie, one attack each, against everything that opens files.

The cases are those that safetensors guards against, and those that our own trailer adds.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import onecopy
from onecopy.segments import trailer
from onecopy.segments.trailer import Trailer
from onecopy.store.verifying import verify
from tests.attacks.serving import Daemon


def file(header: bytes | dict[str, Any], data: bytes = b"", length: int | None = None) -> bytes:
    """Return a safetensors file with any header, and any length before it."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def tensor(start: int, end: int, *, dtype: str = "U8", shape: Any = None) -> dict[str, Any]:
    shape = [end - start] if shape is None else shape
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


DEEP = 100_000
ATTACKS: dict[str, bytes] = {
    "an empty file": b"",
    "a file shorter than a length": b"\x02\0\0",
    "a length without a header": file(b"", length=100),
    "a length of 2⁶⁴ - 1": file(b"{}", length=2**64 - 1),
    "a length over the limit": file(b"{}", length=100_000_001),
    "a header that ends too early": file(b'{"a":'),
    "a header that is no object": file(b"[]"),
    "a header that is not UTF-8": file(b'{"\xff\xfe": 1}'),
    "a header with a lone surrogate": file(b'{"\\ud800": {"dtype": "U8"}}'),
    "objects within objects": file(b'{"a":' * DEEP + b"1" + b"}" * DEEP),
    "arrays within arrays": file(b'{"a":' + b"[" * DEEP + b"]" * DEEP + b"}"),
    "deep arrays in the metadata": file(b'{"__metadata__":' + b"[" * DEEP + b"]" * DEEP + b"}"),
    "metadata that is no text": file({"__metadata__": {"a": 1}}),
    "bytes behind the last tensor": file({"a": tensor(0, 4)}, bytes(5)),
    "a tensor that ends beyond the file": file({"a": tensor(0, 5)}, bytes(4)),
    "a file that was cut short": file({"a": tensor(0, 1000)}, bytes(500)),
    "a hole before the first tensor": file({"a": tensor(4, 8)}, bytes(8)),
    "a hole between tensors": file({"a": tensor(0, 4), "b": tensor(6, 8)}, bytes(8)),
    "tensors that overlap": file({"a": tensor(0, 6), "b": tensor(4, 8)}, bytes(8)),
    "two tensors over the same bytes": file({"a": tensor(0, 8), "b": tensor(0, 8)}, bytes(8)),
    "a tensor that ends before it starts": file({"a": tensor(8, 0, shape=[8])}, bytes(8)),
    "a negative offset": file({"a": tensor(-8, 0)}, bytes(8)),
    "an offset beyond 64 bits": file({"a": tensor(0, 2**64 + 8)}, bytes(8)),
    "offsets that are no integers": file({"a": tensor(0, 8) | {"data_offsets": "08"}}, bytes(8)),
    "three offsets": file({"a": tensor(0, 8) | {"data_offsets": [0, 4, 8]}}, bytes(8)),
    "a dtype that nobody knows": file({"a": tensor(0, 8, dtype="Q9")}, bytes(8)),
    "a dtype of the wrong size": file({"a": tensor(0, 8, dtype="F32")}, bytes(8)),
    "a shape that is larger": file({"a": tensor(0, 8, shape=[9])}, bytes(8)),
    "a negative shape": file({"a": tensor(0, 8, shape=[-2, -4])}, bytes(8)),
    "a shape whose product is huge": file({"a": tensor(0, 8, shape=[2**32, 2**33])}, bytes(8)),
    "a shape whose product wraps": file({"a": tensor(0, 8, shape=[2**61 + 1, 8])}, bytes(8)),
    "a huge shape without bytes": file({"a": tensor(0, 0, shape=[0, 2**63, 2**63])}),
    "a shape that is no list": file({"a": tensor(0, 8, shape="8")}, bytes(8)),
    "a tensor without a shape": file({"a": {"dtype": "U8", "data_offsets": [0, 8]}}, bytes(8)),
    "the same name twice": file(
        b'{"a":' + json.dumps(tensor(0, 8)).encode() + b',"a":'
        + json.dumps(tensor(0, 8)).encode() + b"}",
        bytes(8),
    ),
    "the same metadata key twice": file(b'{"__metadata__":{"a":"1","a":"2"}}'),
    "a spec that is none": file(
        {"__metadata__": {"onecopy": "1"}, "__onecopy_spec__": tensor(0, 8)}, b"\xc1" * 8
    ),
    "a spec whose block lies outside": file(
        {"__metadata__": {"onecopy": "1"}, "__onecopy_spec__": tensor(0, 13)},
        b"\x93\x01\x91\x92\x00\xcd\x7f\xff\x94\x00\xa1x\xc0",
    ),
}  # fmt: skip


def imported(path: Path) -> None:
    with onecopy.start("test", capacity="16MiB") as store:
        try:
            store.import_checkpoint(path)
        finally:
            assert store.names() == []


def opened(path: Path) -> None:
    onecopy.open(path)


def verified(path: Path) -> None:
    for verdict in verify(path):
        if verdict.error is not None:
            raise verdict.error


@pytest.mark.parametrize("use", [imported, opened, verified])
@pytest.mark.parametrize("attack", ATTACKS)
def test_it_is_a_typed_error(tmp_path: Path, attack: str, use: Callable[[Path], None]) -> None:
    path = tmp_path / "hostile.safetensors"
    path.write_bytes(ATTACKS[attack])
    if attack.startswith("a spec") and use is verified:
        return  # It has no trailer, so it is a checkpoint: nobody will use its spec.
    with pytest.raises(onecopy.CorruptEntry, match=r"hostile\.safetensors"):
        use(path)


def test_a_store_in_their_directory_starts_without_them(tmp_path: Path, runtime: Path) -> None:
    folder = tmp_path / "store"
    folder.mkdir()
    for number, content in enumerate(ATTACKS.values()):
        (folder / f"{number}.safetensors").write_bytes(content)
    with Daemon(runtime, directory=str(folder)), onecopy.connect("test") as store:
        assert store.names() == []
        store.save("x", torch.ones(3))
        assert onecopy.open(folder).names() == ["x"]
    assert len(list(folder.glob("*.safetensors"))) == len(ATTACKS) + 1


# ---- trailers that lie ----

PLAIN = Trailer(b"x", 64, 100, 20, 36, 0)


def referring(path: str) -> Trailer:
    """Return the trailer of an entry whose bytes are what is at `path`, right in size and time."""
    status = Path(path).stat()
    return PLAIN._replace(
        origin=path.encode(),
        flags=trailer.APART,
        origin_size=status.st_size,
        origin_modified=status.st_mtime_ns,
        data_start=min(64, max(1, status.st_size)),
        spec_offset=min(64, max(1, status.st_size)),
    )


TRAILERS: dict[str, Trailer] = {
    "data before the file": PLAIN._replace(data_start=0),
    "a spec before the data": PLAIN._replace(spec_offset=63),
    "a spec beyond the trailer": PLAIN._replace(spec_nbytes=21),
    "a spec that ends too early": PLAIN._replace(spec_nbytes=19),
    "a spec beyond all files": PLAIN._replace(spec_nbytes=2**63),
    "more bytes than there are": PLAIN._replace(nbytes=2**63),
    "a ttl that is no number": PLAIN._replace(ttl=float("nan")),
    "a ttl that has passed": PLAIN._replace(ttl=-1.0),
    "no name": PLAIN._replace(name=b""),
    "a name with a NUL": PLAIN._replace(name=b"\0"),
    "a name that is not UTF-8": PLAIN._replace(name=b"\xff"),
    "another name than the file's": PLAIN._replace(name=b"y"),
    "bytes elsewhere, and no flag": PLAIN._replace(origin=b"/etc/hostname"),
    "a flag, and bytes here": PLAIN._replace(flags=trailer.APART),
    "bytes of a directory": referring("/usr"),
    "bytes of a device": referring("/dev/zero"),
    "a spec beyond the file that holds it": referring(__file__)._replace(spec_nbytes=2**62),
    "bytes of a file that is not there": PLAIN._replace(
        origin=b"/none", flags=trailer.APART, origin_size=100
    ),
}


def trailed(facts: Trailer) -> bytes:
    size = 120 + trailer.nbytes_for(facts.name, facts.origin)
    return bytes(120) + facts.pack(size)


@pytest.mark.parametrize("attack", TRAILERS)
def test_a_trailer_that_lies_is_never_an_entry(tmp_path: Path, runtime: Path, attack: str) -> None:
    folder = tmp_path / "store"
    folder.mkdir()
    (folder / "x.safetensors").write_bytes(trailed(TRAILERS[attack]))
    with Daemon(runtime, directory=str(folder)), onecopy.connect("test") as store:
        assert store.names() == []
        with onecopy.open(folder) as snapshot, pytest.raises(onecopy.OnecopyError):
            snapshot.load("x")
    assert (folder / "x.safetensors").exists()


def test_a_trailer_that_does_not_lie_is_an_entry_whose_spec_is_checked(
    tmp_path: Path, runtime: Path
) -> None:
    folder = tmp_path / "store"
    folder.mkdir()
    (folder / "x.safetensors").write_bytes(trailed(PLAIN))
    with Daemon(runtime, directory=str(folder)), onecopy.connect("test") as store:
        for opened in (store, onecopy.open(folder)):
            with pytest.raises(onecopy.CorruptEntry):
                opened.load("x")


def test_a_random_end_is_never_an_entry(tmp_path: Path, runtime: Path) -> None:
    folder = tmp_path / "store"
    folder.mkdir()
    whole = trailed(PLAIN)
    for number in range(200):
        content = bytearray(whole)
        content[-1 - number % (trailer.FIXED + 1)] ^= 1 + number % 255
        (folder / f"{number}.safetensors").write_bytes(content)
    with Daemon(runtime, directory=str(folder)), onecopy.connect("test") as store:
        assert store.names() == []


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.safetensors")
    for use in (imported, opened, verified):
        with pytest.raises(onecopy.OnecopyError):
            use(tmp_path / "x.safetensors")
