"""OpenVINO's models compute what OpenVINO does; their constants are not copied."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import openvino
import pytest
from openvino import opset13 as ops

import onecopy
from onecopy.nn.backends import contents
from onecopy.nn.backends.backend import Port, Source
from tests.nn.backends import contract
from tests.nn.backends.contract import BIAS, NUMPY, WEIGHT, X


def save(path: Path, results, parameters) -> list[Path]:
    openvino.save_model(openvino.Model(results, parameters, "m"), path, compress_to_fp16=False)
    return [path, path.with_suffix(".bin")]


class TestOpenVino(contract.BackendTests):
    name = "openvino"
    encoding = "openvino"
    types = ("f32", "i32", "u8", "i64", "f64", "f16")

    def linear(self, folder: Path) -> list[Path]:
        x = ops.parameter([-1, 4], np.float32, name="x")
        y = ops.add(ops.matmul(x, ops.constant(WEIGHT), False, False), ops.constant(BIAS))
        return save(folder / "linear.xml", [y], [x])

    def twice(self, folder: Path, dtype: str, shape: tuple[int, ...]) -> list[Path]:
        x = ops.parameter(list(shape), np.dtype(NUMPY[dtype]), name="x")
        return save(folder / "twice.xml", [ops.add(x, x)], [x])

    def test_results_are_the_librarys_own(self, tmp_path: Path):
        files = self.linear(tmp_path)
        exact = {"INFERENCE_PRECISION_HINT": "f32"}
        compiled = openvino.Core().compile_model(files[0], "CPU", exact)
        assert np.array_equal(self.load(files).infer([X])[0], compiled([X])[0])

    def test_the_weights_are_found_beside_the_xml(self, tmp_path: Path):
        files = self.linear(tmp_path)
        assert self.load(files[:1]).infer([X])[0].shape == (2, 3)
        files[1].unlink()
        with pytest.raises(onecopy.ModelNotFound, match=r"\.bin"):
            self.load(files[:1])

    def test_a_guest_gives_both_parts(self, tmp_path: Path):
        with pytest.raises(onecopy.InvalidModel, match="two"):
            self.load_bytes([self.linear(tmp_path)[0].read_bytes()])

    def test_the_weights_of_an_entry_are_not_copied(self, tmp_path: Path, store):
        store.save("m", [path.read_bytes() for path in self.linear(tmp_path)])
        source = Source(backend="openvino", store=store.name, entry="m")
        text, weights = contents.contents_of(source, 2, 2, "")
        tensor = openvino.Tensor(weights, shared_memory=True)
        model = openvino.Core().read_model(text.tobytes(), tensor)
        constants = [op for op in model.get_ops() if op.get_type_name() == "Constant"]
        start = weights.ctypes.data
        for constant in constants:
            assert start <= constant.data.ctypes.data < start + weights.nbytes

    def test_pictures_come_as_the_model_has_them(self, tmp_path: Path):
        x = ops.parameter([1, 3, 8, 8], np.float32, name="x")
        y = ops.reduce_mean(x, ops.constant(np.array([2, 3])))
        model = self.load(save(tmp_path / "m.xml", [y], [x]))
        picture = np.random.default_rng(0).random((1, 3, 8, 8), np.float32)
        assert np.allclose(model.infer([picture])[0], picture.mean((2, 3)), rtol=1e-5)
        with pytest.raises(onecopy.InvalidArgument, match="shape"):
            model.infer([picture.transpose(0, 2, 3, 1)])

    def test_types_that_guests_lack_become_the_nearest(self, tmp_path: Path):
        x = ops.parameter([2], np.bool_, name="x")
        model = self.load(save(tmp_path / "m.xml", [ops.logical_not(x)], [x]))
        assert model.inputs == (Port("x", "u8", (2,)),)
        assert model.infer([np.array([0, 9], np.uint8)])[0].tolist() == [1, 0]

    def test_several_results_come_in_their_order(self, tmp_path: Path):
        x = ops.parameter([2], np.float32, name="x")
        model = self.load(save(tmp_path / "m.xml", [ops.negative(x), ops.add(x, x)], [x]))
        found = model.infer([np.array([1, 2], np.float32)])
        assert [each.tolist() for each in found] == [[-1, -2], [2, 4]]

    def test_models_of_other_formats_are_not_tried(self, tmp_path: Path):
        from tests.nn.backends import onnx_zoo

        content = onnx_zoo.linear(tmp_path / "m.onnx", WEIGHT, BIAS).read_bytes()
        with pytest.raises(onecopy.InvalidModel, match="XML"):
            self.load_bytes([content, b""])

    def test_weights_that_are_too_short_are_refused(self, tmp_path: Path):
        text, weights = (path.read_bytes() for path in self.linear(tmp_path))
        for short in (b"", weights[:8], weights[:-1]):
            with pytest.raises(onecopy.InvalidModel):
                self.load_bytes([text, short])

    def test_sizes_and_offsets_that_lie_are_refused(self, tmp_path: Path):
        text, weights = (path.read_bytes() for path in self.linear(tmp_path))
        assert b'offset="0"' in text
        for lie in (b"9223372036854775807", b"-1", b"18446744073709551612", b"1000000"):
            with pytest.raises(onecopy.InvalidModel):
                self.load_bytes([text.replace(b'offset="0"', b'offset="%s"' % lie), weights])
        for lie in (b'"4,3000000000"', b'"-4,3"', b'"4294967296,4294967296"'):
            with pytest.raises(onecopy.InvalidModel):
                self.load_bytes([text.replace(b'"4, 3"', lie), weights])

    def test_importing_the_library_loads_nothing_that_reports_its_use(self, tmp_path: Path):
        text, weights = map(str, self.linear(tmp_path))
        code = (
            "import sys; from onecopy.nn.backends import registry\n"
            "from onecopy.nn.backends.backend import Source\n"
            f"s = Source(backend='openvino', files=({text!r}, {weights!r}))\n"
            "registry.find('openvino').load(s)\n"
            "print([m for m in sys.modules if m.startswith('openvino_telemetry')])"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.stdout.strip() == "[]", done.stderr
