"""Prebuilt guests that nobody here wrote, unmodified: those of WasmEdge's examples.

They are not in this repository. `ONECOPY_NN_GUESTS` names a checkout of
github.com/second-state/WasmEdge-WASINN-examples; without it these tests are skipped. The models are
made here: small, and with random weights.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from onecopy import nn
from tests.nn.service.ending import wait_until_ended

GUESTS = Path(os.environ.get("ONECOPY_NN_GUESTS", "/nonexistent"))

pytestmark = pytest.mark.skipif(not GUESTS.is_dir(), reason="ONECOPY_NN_GUESTS names no folder")


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Runs a guest in a folder, with models by name; returns what it said."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def run(path: str, *args: str, folder: Path = tmp_path, env=None, **models: nn.Model) -> str:
        out = tmp_path / "said"
        with out.open("w") as file, nn.Host(models, idle_seconds=0) as host:
            status = host.run(
                GUESTS / path,
                args=args,
                env=env,
                dirs={".": folder},
                stdin=subprocess.DEVNULL,
                stdout=file,
                timeout=100,
            )
        assert status == 0
        return out.read_text(errors="replace")

    yield run
    wait_until_ended()


@pytest.fixture
def text_model(tmp_path):
    from tests.nn.backends.text.zoo import checkpoint, llama

    return nn.Model(what=str(checkpoint(tmp_path / "llama", llama())), backend="text")


def torchscript(path: Path) -> Path:
    import torch

    from tests.nn.backends.pytorch.zoo import scripted

    torch.manual_seed(0)
    layers = (torch.nn.Conv2d(3, 8, 7, stride=16), torch.nn.AdaptiveAvgPool2d(1))
    module = torch.nn.Sequential(*layers, torch.nn.Flatten(), torch.nn.Linear(8, 1000))
    return scripted(path, module.eval(), torch.zeros(1, 3, 224, 224))


def openvino(path: Path) -> None:
    import numpy as np
    import openvino as ov
    from openvino import opset13 as ops

    image = ops.parameter([1, 3, 224, 224], np.float32)
    mean = ops.reduce_mean(image, np.array([2, 3]))
    weights = np.random.default_rng(0).standard_normal((3, 1001)).astype(np.float32)
    scores = ops.softmax(ops.matmul(mean, ops.constant(weights), False, False), 1)
    ov.save_model(ov.Model([scores], [image]), path)


@pytest.mark.parametrize("named", [True, False])
def test_pytorch_classifies_an_image(runs, tmp_path, named):
    guest = "pytorch-mobilenet-image/wasmedge-wasinn-example-mobilenet-image"
    path = torchscript(tmp_path / "model.pt")
    shutil.copy(GUESTS / "pytorch-mobilenet-image" / "input.jpg", tmp_path)
    if named:
        said = runs(f"{guest}-named-model.wasm", "demo", "input.jpg", demo=nn.Model(what=str(path)))
    else:
        said = runs(f"{guest}.wasm", "model.pt", "input.jpg")
    assert said.count("\n   ") == 5


def test_openvino_classifies_an_image(runs, tmp_path):
    openvino(tmp_path / "model.xml")
    shutil.copy(GUESTS / "openvino-mobilenet-image" / "input.jpg", tmp_path)
    said = runs(
        "openvino-mobilenet-image/wasmedge-wasinn-example-mobilenet-image.wasm",
        *("model.xml", "model.bin", "input.jpg"),
    )
    assert "4004 bytes" in said
    assert said.count("\n   ") == 5


def test_a_model_that_is_not_there_is_told(runs):
    guest = "wasmedge-ggml/test/model-not-found/wasmedge-ggml-model-not-found.wasm"
    assert runs(guest, "none") == "Model not found\n"


@pytest.mark.parametrize(
    "guest",
    [
        "basic/wasmedge-ggml-basic",
        "llama/wasmedge-ggml-llama",
        "llama-stream/wasmedge-ggml-llama-stream",
        "test/set-input-twice/wasmedge-ggml-set-input-twice",
        "test/unload/wasmedge-ggml-unload",
        "test/phi-3/wasmedge-ggml-phi-3",
    ],
)
def test_a_text_is_continued(runs, text_model, guest):
    said = runs(
        f"wasmedge-ggml/{guest}.wasm",
        *("default", "the quick"),
        env={"n_predict": "8"},
        default=text_model,
    )
    assert "Response:" in said
    assert "ERROR" not in said


def test_a_text_is_embedded(runs, text_model):
    guest = "wasmedge-ggml/embedding/wasmedge-ggml-llama-embedding.wasm"
    said = runs(guest, "default", "the quick", default=text_model)
    assert "N_Embd: 32" in said
    assert "embd[4] = " in said


@pytest.mark.parametrize("guest", ["json-schema", "grammar"])
def test_a_text_follows_a_grammar(runs, text_model, guest):
    pytest.importorskip("llguidance")
    said = runs(
        f"wasmedge-ggml/{guest}/wasmedge-ggml-{guest}.wasm",
        *("default", "the quick"),
        env={"n_predict": "8"},
        default=text_model,
    )
    assert "output tokens" in said
