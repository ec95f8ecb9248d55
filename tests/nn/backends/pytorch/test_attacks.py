"""What guests bring as PyTorch models runs nothing of theirs but TorchScript, and reads no file."""

from __future__ import annotations

import io
import os
import pickle
import textwrap
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import onecopy
from tests.nn.backends.pytorch.zoo import exported, load, network, scripted

X = torch.ones(2, 4)


class Touch:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def _script(path: Path, code: str, *members: tuple[str, bytes]) -> Path:
    """TorchScript of a module whose whole code is this text."""
    made = scripted(path.with_suffix(".made"), network()[1], X)
    with zipfile.ZipFile(made) as old, zipfile.ZipFile(path, "w") as new:
        for item in old.infolist():
            data = old.read(item)
            if item.filename.endswith(".py"):
                data = data.split(b"def forward")[0].rstrip() + b"\n"
                data += textwrap.indent(code, "  ").encode()
            new.writestr(item.filename, data)
        for name, data in members:
            new.writestr(name, data)
    return path


def test_plain_torchscript_of_a_guest_is_loaded(tmp_path: Path):
    nets = [nn.Conv2d(1, 2, 3), nn.BatchNorm2d(1), nn.Softmax(-1), nn.GELU(), nn.Flatten()]
    nets += [nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(1), nn.LayerNorm(6), nn.Upsample(scale_factor=2)]
    image = torch.randn(1, 1, 6, 6)
    for index, net in enumerate(nets):
        for inputs in ((image,), ()):
            path = scripted(tmp_path / f"{index}-{len(inputs)}", net.eval(), *inputs)
            (found,) = load(path, foreign=True).infer([image.numpy()])
            assert np.array_equal(found, net(image).detach().numpy())


def test_recurrent_and_attending_torchscript_is_loaded(tmp_path: Path):
    sequence = torch.randn(2, 3, 8)
    for index, net in enumerate([nn.LSTM(8, 4), nn.GRU(8, 4), nn.MultiheadAttention(8, 2)]):
        inputs = (sequence,) * (3 if index == 2 else 1)
        path = scripted(tmp_path / str(index), net.eval(), *inputs)
        model = load(path, foreign=True)
        found = model.infer([each.numpy() for each in inputs])
        assert np.allclose(found[0], net(*inputs)[0].detach().numpy(), atol=1e-6)


BAD = {
    "reads a file": "def forward(self, x: Tensor) -> Tensor:\n"
    '    return torch.from_file("/etc/passwd", False, 16)\n',
    "writes a file": "def forward(self, x: Tensor) -> Tensor:\n"
    '    _0 = ops.aten.save(x, "PATH")\n    return x\n',
    "makes a file": "def forward(self, x: Tensor) -> Tensor:\n"
    '    return torch.from_file("PATH", True, 16)\n',
    "hides a name": "def forward(self, x: Tensor) -> Tensor:\n"
    '    return getattr(torch, "from\\x5ffile")("PATH", True, 16)\n',
    "prints": 'def forward(self, x: Tensor) -> Tensor:\n    print("hello")\n    return x\n',
    "trusts indices": "def forward(self, x: Tensor) -> Tensor:\n"
    "    return torch._sparse_coo_tensor_unsafe(torch.ones([1, 1]), x, [1])\n",
    "computes gradients of nothing": "def forward(self, x: Tensor) -> Tensor:\n"
    "    return torch.reflection_pad1d_backward(x, x, [1, 1])\n",
    "points elsewhere": "def forward(self, x: Tensor) -> Tensor:\n    return torch.set_(x, x)\n",
    "runs as it is loaded": "def __setstate__(self, state: Tensor) -> NoneType:\n"
    "    while True:\n        pass\n"
    "def forward(self, x: Tensor) -> Tensor:\n    return x\n",
    "makes objects of C++": "def forward(self, x: Tensor) -> Tensor:\n"
    "    a = __torch__.torch.classes.profiling.SourceStats()\n    return x\n",
    "is no code": "def forward(self, x Tensor\n",
}


@pytest.mark.parametrize("attack", BAD)
def test_torchscript_that_reaches_out_is_refused(attack: str, tmp_path: Path, capfd):
    made = tmp_path / "made"
    text = BAD[attack].replace("PATH", str(made))
    with pytest.raises(onecopy.InvalidModel):
        load(_script(tmp_path / "bad", text), foreign=True)
    assert not made.exists()
    assert capfd.readouterr().out == ""


class Attributes(nn.Module):
    """Attributes of all kinds that TorchScript writes into its pickle."""

    def __init__(self):
        super().__init__()
        self.numbers, self.flags, self.fractions = [1, 70000], [True], [1.5]
        self.tensors, self.table = [torch.ones(2)], {"x": torch.ones(2, 3).t()}
        self.names, self.pair, self.maybe = ["a"], (1 << 40, "x"), None
        self.half, self.dtype, self.device = (
            torch.ones(3).half(),
            torch.float32,
            torch.device("cpu"),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        known = self.numbers[1] + len(self.flags) + self.fractions[0] + len(self.names)
        known += self.pair[0] * 0
        shown = self.tensors[0].sum() + self.table["x"].sum() + self.half.float().sum()
        return x + known + shown + torch.tensor([1.0, 2.0]).sum()


def test_attributes_of_all_kinds_are_loaded(tmp_path: Path):
    net = nn.Sequential(Attributes(), nn.BatchNorm1d(4)).eval()
    model = load(scripted(tmp_path / "m", net), foreign=True)
    assert np.array_equal(model.infer([X.numpy()])[0], net(X).detach().numpy())


def _changed(path: Path, folder: Path, change) -> Path:
    """TorchScript with members replaced: `change(name, data)` returns the new data."""
    made = folder / "changed"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(made, "w") as new:
        for name in old.namelist():
            new.writestr(name, change(name.partition("/")[2], old.read(name)))
    return made


@pytest.mark.parametrize("length", [0, 8, 47])
def test_weights_that_are_less_than_the_model_says_are_refused(length: int, tmp_path: Path):
    path = scripted(tmp_path / "m", nn.Linear(4, 3).eval(), X)
    bad = _changed(path, tmp_path, lambda n, data: data[:length] if n == "data/0" else data)
    with pytest.raises(onecopy.InvalidModel, match="less than"):
        load(bad, foreign=True)


def test_tensors_that_reach_beyond_their_data_are_refused(tmp_path: Path):
    path = scripted(tmp_path / "m", nn.Linear(4, 3).eval(), X)
    # The size (3, 4) of the weight, then its strides (4, 1), as the pickle has them.
    found = [(b"K\x03K\x04", b"K\x03K\x05"), (b"K\x04K\x01", b"K\x09K\x01")]
    found += [(b"K\x03K\x04", b"J\xff\xff\xff\xffK\x04"), (b"K\x04K\x01", b"K\x04J\0\0\0\x80")]
    for pair in found:
        bad = _replaced(path, tmp_path, "data.pkl", pair)
        with pytest.raises(onecopy.InvalidModel, match=r"reaches beyond|as a size"):
            load(bad, foreign=True)


def _replaced(path: Path, folder: Path, member: str, pair: tuple[bytes, bytes]) -> Path:
    return _changed(path, folder, lambda n, data: data.replace(*pair) if n == member else data)


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x02)r\xff\xff\xff\x7f.",
        b"\x80\x02cos\nsystem\n)R.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
        b"\x80\x02c__torch__.torch.classes.quantized\nConv2dPackedParamsBase\n)\x81.",
        b"\x80\x02c__torch__.torch\nclasses.quantized.Conv2dPackedParamsBase\n)\x81.",
        b"\x80\x02ctorch._utils\n_rebuild_qtensor\n)R.",
        b"(" * 100_000,
        b"\x80\x02]" * 1000 + b".",
        b"",
        b".",
    ],
)
def test_pickles_that_are_not_torchscripts_are_refused(content: bytes, tmp_path: Path):
    path = scripted(tmp_path / "m", nn.Linear(4, 3).eval(), X)
    for part in ("data.pkl", "constants.pkl"):
        with pytest.raises(onecopy.InvalidModel):
            load(_with(path, tmp_path, part, content), foreign=True)


def _with(path: Path, folder: Path, member: str, content: bytes) -> Path:
    return _changed(path, folder, lambda n, data: content if n == member else data)


def test_the_way_of_writing_code_in_these_tests_is_loaded(tmp_path: Path):
    path = _script(tmp_path / "good", "def forward(self, x: Tensor) -> Tensor:\n    return x\n")
    assert load(path, foreign=True).infer([X.numpy()])[0].shape == (2, 4)


def test_pickles_of_python_are_never_run(tmp_path: Path):
    made = tmp_path / "made"
    for foreign in (True, False):
        for save in (lambda f: torch.save(Touch(made), f), lambda f: pickle.dump(Touch(made), f)):
            with (tmp_path / "bad").open("wb") as file:
                save(file)
            with pytest.raises(onecopy.InvalidModel):
                load(tmp_path / "bad", foreign=foreign)
    with pytest.raises(onecopy.InvalidModel):
        load(_weights(tmp_path, made), module="torch.nn:Identity")
    assert not made.exists()


def _weights(folder: Path, made: Path) -> Path:
    torch.save({"x": Touch(made)}, folder / "w.pt")
    return folder / "w.pt"


def test_a_pickle_within_torchscript_is_not_run(tmp_path: Path):
    made, path = tmp_path / "made", tmp_path / "bad"
    good = scripted(tmp_path / "good", network(), X)
    with zipfile.ZipFile(good) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            hostile = name.endswith(("data.pkl", "constants.pkl"))
            new.writestr(name, pickle.dumps(Touch(made)) if hostile else old.read(name))
    with pytest.raises(onecopy.InvalidModel):
        load(path, foreign=True)
    assert not made.exists()


def test_exported_programs_of_guests_are_refused(tmp_path: Path):
    path = exported(tmp_path / "m.pt2", network(), X)
    with pytest.raises(onecopy.InvalidModel, match="TorchScript only"):
        load(path, foreign=True)
    assert load(path).infer([X.numpy()])


def test_guests_name_no_entries_and_no_modules(tmp_path: Path):
    path = scripted(tmp_path / "m", network(), X)
    with pytest.raises(onecopy.InvalidModel, match="guest"):
        load(path, foreign=True, module="os:getcwd")


def test_the_bytes_of_a_guest_come_as_a_descriptor(tmp_path: Path):
    content = scripted(tmp_path / "m", network(), X).read_bytes()
    fd = os.memfd_create("model")
    try:
        os.write(fd, content)
        model = load(Path(f"/proc/self/fd/{fd}"), foreign=True)
    finally:
        os.close(fd)
    assert model.infer([X.numpy()])[0].shape == (2, 3)


def test_a_flat_buffer_that_ends_as_an_archive_is_refused(tmp_path: Path):
    content = scripted(tmp_path / "m", network(), X).read_bytes()
    (tmp_path / "bad").write_bytes(b"\x10\0\0\0PTMF" + content)
    with pytest.raises(onecopy.InvalidModel, match="no archive"):
        load(tmp_path / "bad", foreign=True)


def test_garbage_and_truncated_files_are_refused(tmp_path: Path):
    path = tmp_path / "bad"
    good = {
        True: scripted(tmp_path / "m", network(), X).read_bytes(),
        False: exported(tmp_path / "m.pt2", network(), X).read_bytes(),
    }
    for foreign, content in good.items():
        bad = [content[: len(content) * part // 8] for part in range(8)]
        for each in [*bad, b"PK\x03\x04", b"PK\x03\x04" + bytes(100), os.urandom(1000)]:
            path.write_bytes(each)
            with pytest.raises(onecopy.InvalidModel):
                load(path, foreign=foreign)


def test_bytes_changed_within_a_file_never_do_more_than_fail(tmp_path: Path):
    content = bytearray(scripted(tmp_path / "m", network(), X).read_bytes())
    random = np.random.default_rng(0)
    for _ in range(60):
        changed = bytearray(content)
        for at in random.integers(0, len(content), 3):
            changed[at] = random.integers(256)
        (tmp_path / "bad").write_bytes(changed)
        try:
            load(tmp_path / "bad", foreign=True).infer([X.numpy()])
        except (onecopy.InvalidModel, onecopy.InferenceFailed):
            pass


def test_an_empty_archive_and_one_of_another_kind_are_refused(tmp_path: Path):
    for names in ([], ["a/b"], ["m/data.pkl"], ["m/archive_format"]):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name in names:
                archive.writestr(name, b"")
        (tmp_path / "bad").write_bytes(buffer.getvalue())
        with pytest.raises(onecopy.InvalidModel):
            load(tmp_path / "bad", foreign=True)


def test_torchscript_never_warns(tmp_path: Path):
    path = scripted(tmp_path / "m", network(), X)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load(path).infer([X.numpy()])
