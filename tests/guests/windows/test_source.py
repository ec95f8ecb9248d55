"""What a window shows, as it travels, and whether that can be relied on."""

from __future__ import annotations

import os

import msgspec
import torch

from onecopy.guests.windows.source import Fields, Source
from onecopy.guests.windows.sources import source_of


def test_it_travels_as_fields_and_a_descriptor(store):
    store.save("x", torch.ones(4, 5))
    with source_of(store.ref("x")) as source:
        packed = msgspec.msgpack.encode(source.fields())
        fields = msgspec.msgpack.decode(packed, type=Fields)
        with Source.from_fields(fields, os.dup(source.fd)) as other:
            assert other.fields() == source.fields()
            assert other.checked()


def test_a_segment_that_may_shrink_is_not_sound(tmp_path):
    fd = os.memfd_create("loose", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
    os.ftruncate(fd, 8192)
    with Source(fd, 0, 0, 8192, "U8", (8192,), (1,)) as source:
        assert not source.checked()
    path = tmp_path / "file"
    path.write_bytes(bytes(8192))
    fd = os.open(path, os.O_RDONLY)
    with Source(fd, 0, 0, 8192, "U8", (8192,), (1,)) as source:
        assert not source.checked()
        path.chmod(0o400)
        assert source.checked()


def test_one_that_is_too_short_is_not_sound(store):
    store.save("x", torch.ones(10))
    with source_of(store.ref("x")) as source:
        source.nbytes = 1 << 20
        assert not source.checked()
        source.nbytes, source.offset = 1, 64
        assert not source.checked()


def test_only_what_nobody_can_change_any_more_is_immutable(store, tmp_path):
    store.save("x", torch.ones(10))
    store.save("m", torch.ones(1024), mutable=True, align=4096)
    with store.storage():
        tensor = torch.ones(1024)
    store.save("of storage", tensor)
    for name, immutable in (("x", True), ("m", False)):
        with source_of(store.ref(name)) as source:
            assert source.is_immutable() == immutable
    with source_of(store.load("of storage")) as source:
        assert not source.is_immutable()
    path = tmp_path / "file"
    path.write_bytes(bytes(8192))
    with Source(os.open(path, os.O_RDONLY), 0, 0, 8192, "U8", (8192,), (1,)) as source:
        assert not source.is_immutable()
        path.chmod(0o400)
        assert source.is_immutable()
