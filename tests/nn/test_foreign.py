"""Models that guests bring as bytes run in a process that is closed off."""

from __future__ import annotations

import os
import signal
import socket
import threading

import numpy as np
import pytest
import torch

from onecopy import nn
from onecopy.errors import (
    AccessDenied,
    InvalidArgument,
    InvalidModel,
    OnecopyError,
)
from onecopy.nn import foreign
from onecopy.nn.broker import Broker, LoadBytes
from onecopy.nn.desk import serve
from onecopy.nn.foreign import Brought
from onecopy.nn.service.messages import encode
from onecopy.nn.service.running import running
from onecopy.segments import region
from onecopy.store import wire
from tests.conftest import open_files
from tests.nn.backends.contract import BIAS, WEIGHT, X
from tests.nn.backends.pytorch import zoo as torch_zoo
from tests.nn.backends.test_onnx import TestOnnx as OnnxModels
from tests.nn.backends.test_openvino import TestOpenVino as OpenVinoModels
from tests.nn.service.ending import wait_for, wait_until_clean


@pytest.fixture(scope="module")
def doubling() -> bytes:
    """An ONNX model: y = x + x."""
    from onnx import TensorProto, helper

    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n"]) for n in "xy")
    node = helper.make_node("Add", ["x", "x"], ["y"])
    graph = helper.make_graph([node], "double", [x], [y])
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()


@pytest.fixture
def host():
    with nn.Host({}, idle_seconds=0) as host:
        yield host
    wait_until_clean()


def test_it_computes_and_is_shared_by_its_content(host, doubling) -> None:
    with host.load_bytes([doubling], "onnx") as one, host.load_bytes([doubling], "onnx") as two:
        assert one.run([np.ones(3, np.float32)])[0].tolist() == [2, 2, 2]
        assert two.run([np.ones(1, np.float32)])[0].tolist() == [2]
        (loaded,) = running()
        assert loaded.name == one.name
        assert loaded.users == 2
        status = open_status(loaded.pid)
        assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
        assert "SECRET" not in environment(loaded.pid)


def open_status(pid: int) -> dict[str, str]:
    with open(f"/proc/{pid}/status") as file:
        return {name: value.strip() for name, _, value in (line.partition(":") for line in file)}


def environment(pid: int) -> str:
    with open(f"/proc/{pid}/environ") as file:
        return file.read()


def test_it_is_started_again_when_it_was_killed(host, doubling) -> None:
    with host.load_bytes([doubling], "autodetect") as graph, graph.context() as context:
        context.set_input("x", "f32", (1,), np.float32(4).tobytes())
        context.compute()
        (loaded,) = running()
        os.kill(loaded.pid, signal.SIGKILL)
        wait_for(loaded.pid)
        context.compute()
        assert np.frombuffer(context.output("y"), np.float32).tolist() == [8]


def test_torchscript_is_closed_off_too(host, tmp_path) -> None:
    x = torch.ones(2, 4)
    content = torch_zoo.scripted(tmp_path / "m", torch_zoo.network(), x).read_bytes()
    with host.load_bytes([content], "pytorch") as graph:
        assert graph.run([x])[0].shape == (2, 3)


@pytest.mark.parametrize("models", [OnnxModels(), OpenVinoModels()], ids=lambda each: each.name)
def test_models_of_all_libraries_compute_there(host, models, tmp_path) -> None:
    parts = [path.read_bytes() for path in models.linear(tmp_path)]
    with host.load_bytes(parts, models.encoding) as graph:
        assert abs(graph.run([X])[0] - (X @ WEIGHT + BIAS)).max() < 1e-5


@pytest.mark.parametrize(
    ("encoding", "garbage"),
    [
        ("onnx", b"garbage"),
        ("onnx", b"\x08" + b"\xff" * 999),
        ("openvino", b"<?xml"),
        ("pytorch", b"PK\x03\x04" * 100),
        ("tensorflowlite", b"garbage"),
    ],
)
def test_garbage_is_no_model(host, encoding, garbage) -> None:
    with pytest.raises(OnecopyError):
        host.load_bytes([garbage], encoding)


def test_a_host_may_take_none(doubling) -> None:
    with nn.Host({}, guests_may_load=False) as host, pytest.raises(AccessDenied):
        host.load_bytes([doubling], "onnx")


@pytest.mark.parametrize("builders", [[], [b""], [b"x"] * 17])
def test_odd_numbers_of_parts_are_refused(host, builders) -> None:
    with pytest.raises((InvalidArgument, InvalidModel)):
        host.load_bytes(builders, "onnx")


def test_unknown_encodings_and_targets_are_refused(host, doubling) -> None:
    with pytest.raises(InvalidArgument, match="encoding"):
        host.load_bytes([doubling], "fortran")
    with pytest.raises(InvalidArgument, match="target"):
        host.load_bytes([doubling], "onnx", "abacus")


def test_a_model_that_is_too_large_is_refused(host, doubling, monkeypatch) -> None:
    monkeypatch.setattr(foreign, "NBYTES", 10)
    with pytest.raises(InvalidArgument, match="have the host give it a name"):
        host.load_bytes([doubling], "onnx")


def test_what_differs_in_its_parts_is_another_model() -> None:
    digests = {Brought.of(each).digest for each in ([b"ab", b"c"], [b"a", b"bc"], [b"abc"])}
    assert len(digests) == 3


def _pipe() -> int:
    reader, writer = os.pipe()
    os.close(writer)
    return reader


def _changeable() -> int:
    fd = region.create("model")
    os.write(fd, b"model")
    region.seal(fd, mutable=True)
    return fd


def _growing() -> int:
    fd = region.create("model")
    os.write(fd, b"model")
    return fd


def _device() -> int:
    return os.open("/dev/zero", os.O_RDONLY)


@pytest.mark.parametrize("make", [_pipe, _changeable, _growing, _device])
def test_a_guests_process_cannot_bring_what_may_change(host, make) -> None:
    mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    thread = threading.Thread(target=serve, args=(theirs, host))
    thread.start()
    before = open_files()
    with mine, theirs:
        fd = make()
        wire.send(mine, encode(LoadBytes("onnx", "cpu")), (fd,))
        data, _ = wire.receive(mine)
        assert b"InvalidArgument" in data
        os.close(fd)
        assert open_files() == before
        mine.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_a_guest_brings_a_model_through_its_broker(host, doubling) -> None:
    mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    thread = threading.Thread(target=serve, args=(theirs, host))
    thread.start()
    with mine, theirs:
        with Broker(mine).load_bytes([doubling], "onnx") as graph:
            assert graph.run([np.ones(1, np.float32)])[0].tolist() == [2]
        del graph
        mine.shutdown(socket.SHUT_RDWR)
        thread.join()
