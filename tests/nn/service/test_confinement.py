"""A process that loads what a guest brought reads code, writes its own folder, and no more."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from onecopy import nn
from onecopy.nn.guest import landlock
from tests.nn.backends.test_onnx import TestOnnx as OnnxModels
from tests.nn.backends.test_openvino import TestOpenVino as OpenVinoModels

pytestmark = pytest.mark.skipif(not landlock.version(), reason="this kernel has no Landlock")


def confined(code: str, folder: Path, memory: int = 0) -> str:
    """Run code in a confined process, and return what it prints."""
    own = folder / "own"
    own.mkdir(exist_ok=True)
    start = f"""
        import os, pathlib, socket, sys
        from onecopy.nn.backends import registry
        from onecopy.nn.service import confinement
        own = pathlib.Path({str(own)!r})
        assert confinement.enter(registry.find("onnx"), own, {memory}) == ""
    """
    program = textwrap.dedent(start) + textwrap.dedent(code)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_files_of_the_user_are_out_of_reach(tmp_path: Path):
    (tmp_path / "secret").write_text("x")
    for act in (
        f"open({str(tmp_path / 'secret')!r})",
        f"os.listdir({str(tmp_path)!r})",
        f"os.unlink({str(tmp_path / 'secret')!r})",
        f"open({str(tmp_path / 'made')!r}, 'w')",
        "open('/etc/passwd')",
        "open(os.__file__, 'a')",
        "os.execv('/bin/true', ['true'])",
        "os.kill(os.getppid(), 0)",
    ):
        code = f"""
            try:
                {act}
            except PermissionError:
                print("refused")
        """
        assert confined(code, tmp_path) == "refused", act


def test_the_processes_own_folder_is_its_own(tmp_path: Path):
    code = """
        (own / "log").write_text("x")
        (own / "log").unlink()
        print("done")
    """
    assert confined(code, tmp_path) == "done"


def test_memory_has_a_limit(tmp_path: Path):
    code = """
        try:
            bytearray(1 << 30)
        except MemoryError:
            print("refused")
    """
    assert confined(code, tmp_path, 1 << 29) == "refused"


@pytest.mark.parametrize("models", [OnnxModels(), OpenVinoModels()], ids=lambda m: m.name)
def test_a_guests_model_computes_in_a_process_of_its_own(models, tmp_path: Path):
    parts = [path.read_bytes() for path in models.linear(tmp_path)]
    from tests.nn.backends.contract import BIAS, WEIGHT, X

    with nn.Host({}) as host:
        graph = host.load_bytes(parts, models.encoding, "cpu")
        (found,) = graph.run([X])
        assert abs(found - (X @ WEIGHT + BIAS)).max() < 1e-5


def test_a_guests_torchscript_computes_in_a_process_of_its_own(tmp_path: Path):
    import torch

    from tests.nn.backends import torch_zoo

    x = torch.ones(2, 4)
    content = torch_zoo.scripted(tmp_path / "m", torch_zoo.network(), x).read_bytes()
    with nn.Host({}) as host:
        (found,) = host.load_bytes([content], "pytorch", "cpu").run([x])
        assert found.shape == (2, 3)
