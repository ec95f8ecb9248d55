"""What every backend of tensors promises, as tests that each inherits with models of its own."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import onecopy
from onecopy.nn.backends import registry
from onecopy.nn.backends.backend import Source
from onecopy.nn.standard import DTYPES

NUMPY = {"f16": "float16", "f32": "float32", "f64": "float64", "u8": "uint8"}
NUMPY |= {"i32": "int32", "i64": "int64"}

WEIGHT = np.arange(12, dtype=np.float32).reshape(4, 3) / 7
BIAS = np.array([0.5, -1, 2], np.float32)
X = np.arange(8, dtype=np.float32).reshape(2, 4)


@contextmanager
def descriptors(parts: Sequence[bytes]):
    """The bytes of a guest, as a backend gets them."""
    with ExitStack() as stack:
        paths = []
        for part in parts:
            fd = os.memfd_create("model")
            stack.callback(os.close, fd)
            os.write(fd, part)
            paths.append(f"/proc/self/fd/{fd}")
        yield tuple(paths)


class BackendTests:
    """The contract; a subclass says its backend's name, and makes two models."""

    name: str
    encoding: str
    types: tuple[str, ...] = tuple(DTYPES)

    def linear(self, folder: Path) -> list[Path]:
        """Write a model of `x @ WEIGHT + BIAS`, with a free number of rows."""
        raise NotImplementedError

    def twice(self, folder: Path, dtype: str, shape: tuple[int, ...]) -> list[Path]:
        """Write a model of `x + x` of a type of the standard and a fixed shape."""
        raise NotImplementedError

    def load(self, files, *, foreign: bool = False, **options):
        paths = tuple(map(str, files))
        source = Source(backend=self.name, files=paths, foreign=foreign, options=options)
        return registry.find(self.name).load(source)

    def load_bytes(self, parts: Sequence[bytes]):
        with descriptors(parts) as paths:
            return self.load(paths, foreign=True)

    def test_it_is_found_by_its_encoding_and_its_files(self, tmp_path: Path):
        files = self.linear(tmp_path)
        assert registry.for_encoding(self.encoding) == self.name
        assert registry.for_file(str(files[0])) == self.name
        with descriptors([files[0].read_bytes()]) as (path,):
            assert registry.for_file(path) == self.name

    def test_it_computes(self, tmp_path: Path):
        model = self.load(self.linear(tmp_path))
        (found,) = model.infer([X])
        assert np.allclose(found, X @ WEIGHT + BIAS, rtol=1e-6)

    def test_files_bytes_of_guests_and_entries_give_the_same(self, tmp_path: Path, store):
        files = self.linear(tmp_path)
        (expected,) = self.load(files).infer([X])
        parts = [file.read_bytes() for file in files]
        (foreign,) = self.load_bytes(parts).infer([X])
        assert np.array_equal(foreign, expected)
        self._check_entries(store, parts, expected)

    def _check_entries(self, store, parts, expected):
        arrays = [np.frombuffer(part, np.uint8) for part in parts]
        for index, value in enumerate((parts, arrays)):
            store.save(f"m{index}", value if len(value) > 1 else value[0])
            source = Source(backend=self.name, store=store.name, entry=f"m{index}")
            (found,) = registry.find(self.name).load(source).infer([X])
            assert np.array_equal(found, expected)

    def test_it_says_what_it_takes_and_gives(self, tmp_path: Path):
        model = self.load(self.linear(tmp_path))
        (taken,), (given,) = model.inputs, model.outputs
        assert (taken.dtype, taken.shape[1], type(taken.shape[0])) == ("f32", 4, str)
        assert given.dtype == "f32"
        assert model.batch == 1

    @pytest.mark.parametrize("rows", [1, 3, 17, 2])
    def test_the_free_dimension_may_have_any_size(self, rows: int, tmp_path: Path):
        model = self.load(self.linear(tmp_path))
        for count in (rows, 1, rows):
            x = np.ones((count, 4), np.float32)
            assert np.allclose(model.infer([x])[0], x @ WEIGHT + BIAS, rtol=1e-6)

    def test_inputs_are_read_and_never_written(self, tmp_path: Path):
        model = self.load(self.linear(tmp_path))
        x = X.copy()
        x.flags.writeable = False
        for _ in range(2):
            model.infer([x])
        assert np.array_equal(x, X)

    def test_inputs_may_lie_anyhow(self, tmp_path: Path):
        model = self.load(self.linear(tmp_path))
        odd = np.frombuffer(b"x" + X.tobytes(), np.uint8)[1:].view(np.float32).reshape(2, 4)
        for x in (np.asfortranarray(X), X[::-1], np.repeat(X, 2, 1)[:, ::2], odd, X.astype(">f4")):
            assert np.allclose(model.infer([x])[0], x @ WEIGHT + BIAS, rtol=1e-6)

    def test_wrong_shapes_types_and_numbers_of_inputs_are_refused(self, tmp_path: Path):
        model = self.load(self.linear(tmp_path))
        for shape in ((2, 5), (4,), (), (2, 4, 1), (2, 0)):
            with pytest.raises(onecopy.InvalidArgument, match="shape"):
                model.infer([np.ones(shape, np.float32)])
        for dtype in ("float64", "float16", "int32", "uint8", "bool", "complex64"):
            with pytest.raises(onecopy.InvalidArgument, match="f32"):
                model.infer([np.ones((2, 4), dtype)])
        for inputs in ([], [X, X], [None]):
            with pytest.raises(onecopy.InvalidArgument, match="input"):
                model.infer(inputs)
        assert np.allclose(model.infer([X])[0], X @ WEIGHT + BIAS, rtol=1e-6)

    def test_numbers_that_are_none_pass_through(self, tmp_path: Path):
        model = self.load(self.twice(tmp_path, "f32", (4,)))
        given = np.array([np.nan, np.inf, -np.inf, -0.0], np.float32)
        assert np.array_equal(model.infer([given])[0], given, equal_nan=True)

    def test_a_batch_needs_a_free_first_dimension(self, tmp_path: Path):
        assert self.load(self.linear(tmp_path), batch=8).batch == 8
        assert self.load(self.linear(tmp_path), batch="8", threads="1").batch == 8
        with pytest.raises(onecopy.InvalidArgument, match="not free"):
            self.load(self.twice(tmp_path, "f32", (4,)), batch=2)

    @pytest.mark.parametrize(
        "options", [{"x": 1}, {"threads": 0}, {"threads": "two"}, {"batch": -1}, {"batch": 1 << 40}]
    )
    def test_options_are_checked(self, options: dict, tmp_path: Path):
        with pytest.raises(onecopy.InvalidArgument):
            self.load(self.linear(tmp_path), **options)

    def test_what_is_not_there_is_not_found(self, tmp_path: Path, store):
        files = [path.with_stem("absent") for path in self.linear(tmp_path)]
        with pytest.raises(onecopy.ModelNotFound):
            self.load(files)
        for where in ("test", "nowhere"):
            source = Source(backend=self.name, store=where, entry="absent")
            with pytest.raises(onecopy.ModelNotFound):
                registry.find(self.name).load(source)

    def test_entries_that_hold_no_file_are_no_models(self, store):
        values = [np.ones((4, 4), np.float32), {"a": 1}, "text", [b"a", b"b", b"c"], b"", 5]
        for index, value in enumerate(values):
            store.save(str(index), value)
            source = Source(backend=self.name, store=store.name, entry=str(index))
            with pytest.raises(onecopy.InvalidModel):
                registry.find(self.name).load(source)

    def test_the_number_of_files_is_checked(self, tmp_path: Path):
        for count in (0, 3):
            with pytest.raises(onecopy.InvalidModel, match="model is"):
                self.load(self.linear(tmp_path)[:1] * count)
        with pytest.raises(onecopy.InvalidModel):
            self.load_bytes([])
        with pytest.raises(onecopy.InvalidModel, match="not a file"):
            self.load([tmp_path, tmp_path][: len(self.linear(tmp_path))])

    def test_guests_name_no_entries(self):
        source = Source(backend=self.name, store="x", entry="y", foreign=True)
        with pytest.raises(onecopy.InvalidModel, match="guest"):
            registry.find(self.name).load(source)

    def test_garbage_is_refused(self, tmp_path: Path):
        good = [file.read_bytes() for file in self.linear(tmp_path)]
        for bad in (b"", b"\0", b"\x08\x07", os.urandom(5000), b"<?xml?>", b"PK\x03\x04", good[-1]):
            if bad == good[0]:
                continue
            with pytest.raises(onecopy.InvalidModel):
                self.load_bytes([bad, *good[1:]])

    def test_changed_and_truncated_bytes_never_do_more_than_fail(self, tmp_path: Path):
        parts = [file.read_bytes() for file in self.linear(tmp_path)]
        random = np.random.default_rng(1)
        for round in range(self.changes):
            changed = [bytearray(part) for part in parts]
            part = changed[random.integers(len(changed))]
            if round % 4 == 0:
                del part[random.integers(len(part)) :]
            for at in random.integers(0, max(len(part), 1), 2 if len(part) else 0):
                part[at] = random.integers(256)
            try:
                self.load_bytes([bytes(each) for each in changed]).infer([X])
            except (onecopy.InvalidModel, onecopy.InferenceFailed, onecopy.InvalidArgument):
                pass

    changes = 60

    def test_any_shape_and_type_gives_what_numpy_gives(self, tmp_path: Path):
        kinds = st.sampled_from(self.types)
        shapes = st.lists(st.integers(0, 5), max_size=4).map(tuple)

        @settings(max_examples=25, deadline=None)
        @given(kinds, shapes)
        def check(dtype: str, shape: tuple[int, ...]):
            model = self.load(self.twice(tmp_path, dtype, shape))
            assert model.inputs[0].dtype == dtype
            # Twice of it fits into every type: where it does not, libraries differ.
            x = (np.arange(math.prod(shape)) % 100).reshape(shape).astype(NUMPY[dtype])
            (found,) = model.infer([x])
            assert (found.dtype, found.shape) == (x.dtype, shape)
            assert np.array_equal(found, x + x)

        check()
