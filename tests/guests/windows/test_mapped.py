"""Which tensors can be mapped, which cannot, and what is said then."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch

import onecopy
from onecopy.errors import WindowRefused
from onecopy.guests.windows.sources import part, source_of
from tests.conftest import direct
from tests.guests.windows.reading import bytes_of, raw

__all__ = ["direct"]  # Both ways to open entries.


class TestLoaded:
    def test_a_loaded_tensor_is_found_in_its_segment(self, store):
        want = torch.arange(3000.0)
        store.save("x", want)
        source = source_of(store.load("x"))
        assert (source.dtype, source.shape, source.strides) == ("F32", (3000,), (1,))
        assert not source.writable
        assert bytes_of(source) == raw(want)

    def test_arrays_and_buffers_are_found_too(self, store):
        store.save("array", np.arange(100, dtype=np.int16).reshape(4, 25))
        store.save("bytes", b"some bytes")
        source = source_of(store.load("array"))
        assert (source.dtype, source.shape, source.strides) == ("I16", (4, 25), (25, 1))
        assert bytes_of(source) == np.arange(100, dtype=np.int16).tobytes()
        assert bytes_of(source_of(store.load("bytes"))) == b"some bytes"

    def test_every_mode_of_loading_will_do(self, store):
        store.save("x", torch.ones(10))
        for mode in ("private", "readonly"):
            assert bytes_of(source_of(store.load("x", mode=mode))) == raw(torch.ones(10))

    def test_the_tensor_is_found_by_another_handle_of_the_store(self, store, client):
        store.save("x", torch.ones(10))
        value = client.load("x")
        assert bytes_of(source_of(value)) == raw(torch.ones(10))

    def test_a_tensor_stays_a_window_when_its_name_is_used_anew(self, store):
        store.save("x", torch.ones(10), pin=True)
        value = store.load("x")
        store.save("x", torch.zeros(10), overwrite=True)
        if store._connection.direct:
            assert bytes_of(source_of(value)) == raw(torch.ones(10))
        else:  # The daemon hands out entries only, and this is none any more.
            with pytest.raises(WindowRefused, match="save it in a store"):
                source_of(value)

    def test_an_entry_with_a_long_name_is_found(self, store):
        store.save("n" * 255, torch.ones(10))
        assert bytes_of(source_of(store.load("n" * 255))) == raw(torch.ones(10))

    def test_a_transposed_tensor_keeps_its_strides(self, store):
        store.save("x", torch.arange(12.0).reshape(3, 4))
        source = source_of(store.load("x").T)
        assert (source.shape, source.strides) == ((4, 3), (1, 4))
        assert bytes_of(source) == raw(torch.arange(12.0))

    def test_a_tensor_of_a_snapshot_is_found_in_its_file(self, store, tmp_path):
        store.save("x", torch.arange(10.0))
        store.snapshot(tmp_path / "models")
        with onecopy.open(tmp_path / "models") as snapshot:
            assert bytes_of(source_of(snapshot.load("x"))) == raw(torch.arange(10.0))

    def test_a_tensor_of_a_directory_store_is_found_in_its_file(self, tmp_path):
        with onecopy.start("dir", capacity="64MiB", dir=tmp_path / "dir") as store:
            store.save("x", torch.arange(10.0))
            assert bytes_of(source_of(store.load("x"))) == raw(torch.arange(10.0))
            with pytest.raises(WindowRefused, match="immutable"):
                source_of(store.ref("x"), "rw")

    def test_an_imported_file_may_change_and_is_refused(self, store, tmp_path):
        from safetensors.torch import save_file

        save_file({"x": torch.ones(1000)}, tmp_path / "m.safetensors")
        name = store.import_checkpoint(tmp_path / "m.safetensors")
        value = store.load(name)["x"]
        with pytest.raises(WindowRefused, match=r"no segment of a store.*copy=True"):
            source_of(value)
        with source_of(value, copy=True) as source:
            assert source.copied


class TestMutable:
    def test_an_entry_that_is_mutable_can_be_written_to(self, store):
        store.save("m", torch.zeros(5000), mutable=True, align=4096)
        for value in (store.ref("m"), store.load("m")):
            with source_of(value, "rw") as source:
                assert (source.writable, source.lead) == (True, 0)
                os.pwrite(source.fd, b"\1\2\3\4", source.offset)
        assert raw(store.load("m"))[:4] == b"\1\2\3\4"

    def test_an_immutable_entry_is_refused_with_the_remedy(self, store):
        store.save("x", torch.zeros(5000), align=4096)
        for value in (store.ref("x"), store.load("x")):
            with pytest.raises(WindowRefused, match="save it with mutable=True"):
                source_of(value, "rw")

    def test_a_tensor_beside_the_header_is_refused(self, store):
        store.save("m", torch.zeros(5000), mutable=True)
        with pytest.raises(WindowRefused, match="align=4096"):
            source_of(store.ref("m"), "rw")
        source_of(store.ref("m")).close()

    def test_a_private_view_of_a_mutable_entry_is_refused(self, store):
        store.save("m", torch.zeros(5000), mutable=True, align=4096)
        with pytest.raises(WindowRefused, match='mode="shared"'):
            source_of(store.load("m", mode="private"), "rw")

    def test_no_window_that_is_written_to_has_the_spec(self, store):
        for nbytes in (1, 4095, 4096, 4097, 70_000):
            store.save("m", torch.zeros(nbytes, dtype=torch.uint8), mutable=True, align=4096)
            with source_of(store.ref("m"), "rw") as source:
                os.pwrite(source.fd, b"\xff" * source.extent, source.offset)
            assert (store.load("m") == 255).all()
            store.remove("m")


class TestPages:
    def test_parts_of_one_entry_share_pages_unless_aligned(self, store):
        value = {"a": torch.ones(10), "b": [torch.zeros(2000), np.arange(3)]}
        store.save("packed", value)
        store.save("aligned", value, align=4096)
        with pytest.raises(WindowRefused, match="shares pages"):
            source_of(part(store.ref("packed"), "a"))
        assert bytes_of(source_of(part(store.ref("aligned"), "a"))) == raw(torch.ones(10))
        assert bytes_of(source_of(part(store.ref("aligned"), "b", 0))) == bytes(8000)

    def test_slices_are_refused_unless_they_end_with_pages(self, store):
        store.save("x", torch.arange(4096.0).reshape(4, 1024), align=4096)
        value = store.load("x")
        assert bytes_of(source_of(value[1:3])) == raw(value[1:3])
        for slice_ in (value[1:3, :1000], value[:, 1:], value.flatten()[5:]):
            with pytest.raises(WindowRefused, match="shares pages"):
                source_of(slice_)
            with source_of(slice_, copy=True) as source:
                assert source.copied
                assert bytes_of(source) == raw(slice_)

    def test_what_shares_all_its_memory_is_one_tensor(self, store):
        x = torch.arange(1000.0)
        store.save("x", {"x": x, "same": x.view(10, 100)})
        assert bytes_of(source_of(part(store.ref("x"), "same"))) == raw(x)

    def test_elements_that_overlap_or_run_backwards_are_refused(self, store):
        store.save("x", np.arange(1000))
        with pytest.raises(WindowRefused, match="overlap, run backwards"):
            source_of(store.load("x")[::-1])
        store.save("t", torch.ones(100))
        with pytest.raises(WindowRefused, match="overlap"):
            source_of(store.load("t")[:1].expand(5))


class TestStorage:
    def test_what_storage_made_is_a_window_if_it_fills_its_pages(self, store):
        with store.storage():
            whole, small = torch.ones(10, 1024), torch.ones(10)
        assert bytes_of(source_of(whole)) == raw(whole)
        with pytest.raises(WindowRefused, match="does not fill its pages"):
            source_of(small)
        with pytest.raises(WindowRefused, match=r"guests\.buffer"):
            source_of(whole, "rw")

    def test_it_is_one_still_when_it_was_saved(self, store, client):
        with store.storage():
            whole = torch.ones(10, 1024)
        store.save("x", whole)
        assert bytes_of(source_of(whole)) == raw(whole)
        assert bytes_of(source_of(client.load("x"))) == raw(whole)


class TestOwn:
    def test_heap_memory_is_refused_with_the_remedy(self):
        for value in (torch.ones(5000), np.ones(5000), bytearray(5000)):
            with pytest.raises(WindowRefused, match=r"save it in a\s+store.*copy=True"):
                source_of(value)

    def test_a_tensor_that_was_written_to_is_refused(self, store):
        store.save("x", torch.zeros(5000))
        value = store.load("x")
        value[3000] = 1
        with pytest.raises(WindowRefused, match="was written to"):
            source_of(value)
        assert bytes_of(source_of(value, copy=True)) == raw(value)

    def test_shared_memory_of_others_is_refused(self):
        value = torch.ones(5000).share_memory_()
        with pytest.raises(WindowRefused, match="no segment of a store"):
            source_of(value)
