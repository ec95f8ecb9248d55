"""ONNX models compute what onnxruntime does, and a guest's reach no file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

import onecopy
from onecopy.nn.backends.backend import Port
from tests.nn.backends import contract, onnx_zoo
from tests.nn.backends.contract import BIAS, WEIGHT, X
from tests.nn.backends.onnx_zoo import value, write


class TestOnnx(contract.BackendTests):
    name = "onnx"
    encoding = "onnx"

    def linear(self, folder: Path) -> list[Path]:
        return [onnx_zoo.linear(folder / "linear.onnx", WEIGHT, BIAS)]

    def twice(self, folder: Path, dtype: str, shape: tuple[int, ...]) -> list[Path]:
        kind = onnx_zoo.TYPES[dtype]
        node = helper.make_node("Add", ["x", "x"], ["y"])
        path = folder / "twice.onnx"
        return [write(path, [node], [value("x", kind, shape)], [value("y", kind, shape)])]

    def one(self, path: Path, op: str, kinds: tuple[int, ...], out: int, shape, outs=None, **attrs):
        names = [f"x{index}" for index in range(len(kinds))]
        inputs = [value(name, kind, shape) for name, kind in zip(names, kinds, strict=True)]
        node = helper.make_node(op, names, ["y"], **attrs)
        return self.load([write(path, [node], inputs, [value("y", out, outs or shape)])])

    def test_results_are_the_librarys_own(self, tmp_path: Path):
        files = self.linear(tmp_path)
        session = onnxruntime.InferenceSession(files[0], providers=["CPUExecutionProvider"])
        assert np.array_equal(self.load(files).infer([X])[0], session.run(None, {"x": X})[0])

    def test_types_that_guests_lack_become_the_nearest(self, tmp_path: Path):
        path = tmp_path / "m.onnx"
        greater = self.one(path, "Greater", (TensorProto.FLOAT,) * 2, TensorProto.BOOL, [2])
        assert greater.outputs == (Port("y", "u8", (2,)),)
        two = [np.array([1, 3], np.float32), np.array([2, 2], np.float32)]
        assert greater.infer(two)[0].tolist() == [0, 1]
        small = self.one(path, "Abs", (TensorProto.INT8,), TensorProto.INT8, [2])
        assert small.infer([np.array([-5, 4], np.int32)])[0].tolist() == [5, 4]
        with pytest.raises(onecopy.InvalidArgument, match="does not fit into int8"):
            small.infer([np.array([-500, 4], np.int32)])
        either = self.one(path, "Not", (TensorProto.BOOL,), TensorProto.BOOL, [2])
        assert either.infer([np.array([0, 200], np.uint8)])[0].tolist() == [1, 0]
        large = self.one(path, "Mul", (TensorProto.UINT64,) * 2, TensorProto.UINT64, [1])
        with pytest.raises(onecopy.InvalidArgument, match="uint64"):
            large.infer([np.array([-1]), np.array([1])])
        with pytest.raises(onecopy.InferenceFailed, match="does not fit into int64"):
            large.infer([np.array([1 << 62]), np.array([2])])

    @pytest.mark.parametrize("kind", [TensorProto.STRING, TensorProto.BFLOAT16])
    def test_types_without_a_nearest_are_refused(self, kind: int, tmp_path: Path):
        with pytest.raises(onecopy.InvalidModel, match=r"no type|does not load"):
            self.one(tmp_path / "m.onnx", "Identity", (kind,), kind, [2])

    def test_sequences_are_refused(self, tmp_path: Path):
        made = helper.make_tensor_sequence_value_info("y", TensorProto.FLOAT, [2])
        node = helper.make_node("SequenceConstruct", ["x"], ["y"])
        path = write(tmp_path / "m.onnx", [node], [value("x", 1, [2])], [made])
        with pytest.raises(onecopy.InvalidModel, match="seq"):
            self.load([path])

    def test_a_model_that_lies_about_its_result_gives_what_it_computes(self, tmp_path: Path):
        shapes = {"axes": [0]}
        node = helper.make_node("NonZero", ["x"], ["y"])
        path = write(tmp_path / "m.onnx", [node], [value("x", 1, ["n"])], [value("y", 7, [1, 5])])
        assert shapes
        assert self.load([path]).infer([np.ones(3, np.float32)])[0].tolist() == [[0, 1, 2]]

    def test_a_model_that_lies_about_a_type_is_refused(self, tmp_path: Path):
        with pytest.raises(onecopy.InvalidModel):
            self.one(tmp_path / "m.onnx", "Abs", (TensorProto.FLOAT,), TensorProto.INT32, [2])

    def test_a_model_that_asks_for_a_huge_result_fails(self, tmp_path: Path):
        node = helper.make_node("ConstantOfShape", ["x"], ["y"])
        path = write(tmp_path / "m.onnx", [node], [value("x", 7, [2])], [value("y", 1, None)])
        model = self.load([path])
        for huge in ([1 << 40, 1 << 40], [1 << 30, 1 << 30], [-1, 5]):
            with pytest.raises((onecopy.InferenceFailed, onecopy.InvalidArgument)):
                model.infer([np.array(huge)])
        assert model.infer([np.array([2, 0])])[0].shape == (2, 0)

    def test_values_that_the_library_refuses_are_errors_of_inference(self, tmp_path: Path):
        node = helper.make_node("Gather", ["x", "i"], ["y"])
        inputs = [value("x", 1, [2]), value("i", 7, [1])]
        model = self.load([write(tmp_path / "m.onnx", [node], inputs, [value("y", 1, [1])])])
        x = np.array([5, 6], np.float32)
        assert model.infer([x, np.array([1])])[0].tolist() == [6]
        for index in (2, -3, 1 << 62):
            with pytest.raises((onecopy.InferenceFailed, onecopy.InvalidArgument)):
                model.infer([x, np.array([index])])

    def test_a_hosts_model_may_have_its_weights_beside_it(self, tmp_path: Path):
        np.arange(4, dtype=np.float32).tofile(tmp_path / "w.bin")
        path = onnx_zoo.external(tmp_path / "m.onnx", "w.bin")
        assert self.load([path]).infer([np.zeros(4, np.float32)])[0].tolist() == [0, 1, 2, 3]

    @pytest.mark.parametrize(("count", "length"), [(5000, 5), (1, 1_000_000), (100, 2000)])
    def test_more_than_fits_into_a_message_is_refused(
        self, count: int, length: int, tmp_path: Path
    ):
        names = [f"{index}".rjust(length, "x") for index in range(count)]
        node = helper.make_node("Sum", names, ["y"])
        inputs = [value(name, 1, [2]) for name in names]
        path = write(tmp_path / "m.onnx", [node], inputs, [value("y", 1, [2])])
        with pytest.raises(onecopy.InvalidModel, match="too many"):
            self.load([path])

    @pytest.mark.parametrize("where", ["w.bin", "/etc/passwd", "../w.bin", ""])
    def test_a_guests_model_reads_no_other_file(self, where: str, tmp_path: Path, monkeypatch):
        np.arange(4, dtype=np.float32).tofile(tmp_path / "w.bin")
        monkeypatch.chdir(tmp_path)
        path = onnx_zoo.external(tmp_path / "m.onnx", where)
        with pytest.raises(onecopy.InvalidModel, match="other files"):
            self.load_bytes([path.read_bytes()])

    def test_nor_does_one_that_hides_it_in_a_branch(self, tmp_path: Path, monkeypatch):
        np.arange(4, dtype=np.float32).tofile(tmp_path / "w.bin")
        monkeypatch.chdir(tmp_path)
        for content in _hidden(tmp_path):
            with pytest.raises(onecopy.InvalidModel, match="other files"):
                self.load_bytes([content])

    def test_importing_the_library_leaves_no_trace_for_reports(self, tmp_path: Path):
        (path,) = self.linear(tmp_path)
        code = (
            "from onecopy.nn.backends import registry\n"
            "from onecopy.nn.backends.backend import Source\n"
            f"registry.find('onnx').load(Source(backend='onnx', files=({str(path)!r},)))"
        )
        home = tmp_path / "home"
        home.mkdir()
        unset = ("ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")
        kept = {name: value for name, value in os.environ.items() if name not in unset}
        subprocess.run([sys.executable, "-c", code], env={**kept, "HOME": str(home)}, check=True)
        assert list(home.iterdir()) == []

    def test_nothing_is_printed(self, tmp_path: Path, capfd):
        with pytest.raises(onecopy.InvalidModel):
            self.load_bytes([b"\x08\x07garbage"])
        model = self.load(self.linear(tmp_path))
        with pytest.raises(onecopy.InvalidArgument):
            model.infer([np.ones((1, 5), np.float32)])
        captured = capfd.readouterr()
        assert captured.out + captured.err == ""


def _hidden(folder: Path):
    """Models with external data in a constant, in a branch, in a function, and in two pieces."""
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="w.bin")
    constant = helper.make_node("Constant", [], ["y"], value=tensor)
    x, y = value("x", TensorProto.BOOL, []), value("y", TensorProto.FLOAT, [4])
    branch = helper.make_graph([constant], "b", [], [y])
    choice = helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("mine", 1)]
    made = helper.make_function("mine", "F", [], ["y"], [constant], opsets[:1])
    path = folder / "m.onnx"
    yield write(path, [constant], [x], [y]).read_bytes()
    yield write(path, [choice], [x], [y]).read_bytes()
    called = helper.make_node("F", [], ["y"], domain="mine")
    yield write(path, [called], [x], [y], functions=[made]).read_bytes()
    content = onnx_zoo.external(path, "w.bin").read_bytes()
    # Protobuf joins what comes in pieces: an empty graph, and the one that counts after it.
    yield b"\x3a\x00" + content
