"""Backends are found by name, encoding and file, and none of that imports their libraries."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import onecopy
from onecopy.nn.backends import registry


class Plain:
    """A plugin's backend, found by `module:Class`."""

    encodings = ("tensorflow",)
    suffixes = (".plain",)

    def load(self, source):
        return source


def test_a_backend_is_found_by_its_name():
    assert registry.find("pytorch").encodings == ("pytorch",)


def test_a_plugin_is_found_by_its_module_and_class():
    assert registry.find(f"{__name__}:Plain").suffixes == (".plain",)


@pytest.mark.parametrize("name", ["nothing", "", "os:nothing", "pytorch "])
def test_an_unknown_name_is_refused_with_those_there_are(name: str):
    with pytest.raises(onecopy.InvalidArgument, match=r"onnx|no class"):
        registry.find(name)


def test_a_plugin_that_cannot_be_imported_is_missing():
    with pytest.raises(onecopy.BackendMissing, match="nowhere"):
        registry.find("nowhere.at_all:Thing")


@pytest.mark.parametrize("encoding", ["pytorch"])
def test_encodings_lead_to_names(encoding: str):
    assert registry.for_encoding(encoding) == encoding


def test_an_encoding_that_nobody_has_is_refused():
    with pytest.raises(onecopy.InvalidArgument, match="tensorflow"):
        registry.for_encoding("tensorflow")


@pytest.mark.parametrize("suffix", [".pt2", ".pt", ".PTH"])
def test_files_are_known_by_their_suffix_though_they_need_not_exist(suffix: str):
    assert registry.for_file(f"/nowhere/model{suffix}") == "pytorch"


def test_a_file_without_a_suffix_is_known_by_how_it_begins(tmp_path: Path):
    (tmp_path / "model").write_bytes(b"PK\x03\x04 and so on")
    assert registry.for_file(str(tmp_path / "model")) == "pytorch"


def test_a_file_of_no_known_kind_is_refused(tmp_path: Path):
    (tmp_path / "model").write_bytes(b"MZ")
    with pytest.raises(onecopy.InvalidArgument, match="no backend"):
        registry.for_file(str(tmp_path / "model"))
    with pytest.raises(onecopy.ModelNotFound):
        registry.for_file(str(tmp_path / "absent"))
    with pytest.raises(onecopy.InvalidModel):
        registry.for_file(str(tmp_path.parent))


def test_a_missing_library_says_what_to_install():
    with pytest.raises(onecopy.BackendMissing, match=r"pip install 'onecopy\[onnx\]'"):
        registry.require("no_such_library", "onnx")


def test_looking_for_backends_imports_no_library():
    code = (
        "import sys; from onecopy.nn.backends import registry as r\n"
        "r.for_encoding('pytorch'), r.for_file('x.pt2'), r.find('pytorch')\n"
        "heavy = {'torch', 'numpy', 'onnxruntime', 'openvino', 'transformers', 'httpx'}\n"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
