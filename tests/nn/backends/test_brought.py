"""What a guest brings is computed by each backend in a process that is closed off."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from onecopy import nn
from tests.nn.backends import onnx_zoo
from tests.nn.backends.contract import BIAS, WEIGHT, X
from tests.nn.backends.pytorch import zoo as torch_zoo
from tests.nn.backends.test_openvino import TestOpenVino as OpenVinoModels


def parts_of(encoding: str, folder: Path) -> list[bytes]:
    if encoding == "onnx":
        return [onnx_zoo.linear(folder / "m.onnx", WEIGHT, BIAS).read_bytes()]
    if encoding == "openvino":
        return [path.read_bytes() for path in OpenVinoModels().linear(folder)]
    net = torch.nn.Linear(4, 3).eval()
    with torch.no_grad():
        net.weight.copy_(torch.from_numpy(WEIGHT.T))
        net.bias.copy_(torch.from_numpy(BIAS))
    return [torch_zoo.scripted(folder / "m", net, torch.from_numpy(X)).read_bytes()]


@pytest.mark.parametrize("encoding", ["pytorch", "onnx", "openvino"])
def test_it_computes_there(encoding: str, tmp_path: Path):
    with (
        nn.Host({}, idle_seconds=0) as host,
        host.load_bytes(parts_of(encoding, tmp_path), encoding, "cpu") as graph,
    ):
        (found,) = graph.run([X])
    assert np.allclose(found, X @ WEIGHT + BIAS, rtol=1e-5)
