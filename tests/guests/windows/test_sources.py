"""From what users hand over to sources: references, parts, pairs, copies."""

from __future__ import annotations

import os

import pytest
import torch

from onecopy.errors import EntryNotFound, InvalidArgument, WindowRefused
from onecopy.guests.windows.source import Source
from onecopy.guests.windows.sources import copy_of, part, source_of, sources_of
from tests.conftest import open_files
from tests.guests.windows.reading import bytes_of, raw


class TestOne:
    def test_what_is_no_tensor_is_refused(self, store):
        store.save("tree", {"x": torch.ones(10)})
        for value in (store.ref("tree"), 5, None, "text"):
            with pytest.raises(WindowRefused, match="a tensor, an array, a buffer"):
                source_of(value)
        for value in (torch.ones(0), b""):
            with pytest.raises(WindowRefused, match="at least one byte"):
                source_of(value, copy=True)
        with pytest.raises(WindowRefused, match="element type"):
            source_of(torch.ones(5, dtype=torch.complex64), copy=True)
        with pytest.raises(WindowRefused, match="dense"):
            source_of(torch.ones(5).to_sparse(), copy=True)
        with pytest.raises(WindowRefused, match="meta"):
            source_of(torch.ones(5, device="meta"), copy=True)

    def test_wrong_names_are_told(self, store):
        store.save("tree", {"x": torch.ones(10)})
        with pytest.raises(InvalidArgument, match="no part"):
            source_of(part(store.ref("tree"), "y"))
        with pytest.raises(EntryNotFound):
            source_of(store.ref("nothing"))
        with pytest.raises(InvalidArgument, match='"r" or "rw"'):
            source_of(torch.ones(5), "w")

    def test_a_copy_is_made_even_if_the_tensor_could_be_mapped(self, store):
        store.save("x", torch.ones(10))
        with source_of(copy_of(store.ref("x"), "rw")) as source:
            assert (source.copied, source.writable) == (True, True)
            os.pwrite(source.fd, bytes(40), 0)
        assert store.load("x").sum() == 10

    def test_copy_true_maps_what_can_be_mapped(self, store):
        store.save("x", torch.ones(10))
        with source_of(store.load("x"), copy=True) as source:
            assert not source.copied


class TestSeveral:
    def test_values_and_pairs_become_sources(self, store):
        store.save("m", torch.zeros(1024), mutable=True, align=4096)
        found = sources_of({"r": store.ref("m"), "rw": (store.ref("m"), "rw")})
        assert [found[name].writable for name in ("r", "rw")] == [False, True]
        for each in found.values():
            each.close()

    def test_what_is_no_dict_or_no_access_is_said(self, store):
        store.save("a", torch.ones(10))
        with pytest.raises(InvalidArgument, match="windows are a dict"):
            sources_of([store.load("a")])
        with pytest.raises(InvalidArgument, match='is "r" or "rw", not \'w\''):
            sources_of({"a": (store.load("a"), "w")})

    def test_if_one_is_refused_none_stays_open(self, store):
        store.save("x", torch.ones(10))
        store.load("x")
        before = open_files()
        with pytest.raises(WindowRefused):
            sources_of({"x": store.ref("x"), "y": torch.ones(10)})
        assert open_files() == before

    def test_whatever_offers_a_source_is_asked_for_it(self, store):
        store.save("x", torch.ones(10))

        class Table:
            def window_source(self) -> Source:
                return source_of(store.ref("x"))

        assert bytes_of(source_of(Table())) == raw(torch.ones(10))
