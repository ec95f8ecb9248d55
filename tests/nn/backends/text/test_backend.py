from __future__ import annotations

from pathlib import Path

import pytest

from onecopy import InvalidArgument
from onecopy.nn.backends import registry
from onecopy.nn.backends.backend import Source
from onecopy.nn.backends.text.backend import Text
from tests.processes import output_of

pytest.importorskip("transformers")

from tests.nn.backends.text.zoo import CONTEXT, checkpoint, generate


def load(folder: Path, **options):
    return Text().load(Source(backend="text", files=(str(folder),), options=options))


def test_a_folder_continues_texts(tmp_path: Path) -> None:
    model = load(checkpoint(tmp_path))
    assert not model.concurrent
    assert generate(model.session({"temp": 0, "n-predict": 10}), "the quick")
    assert len(model.embed(b"the", {})) == 32
    model.close()


def test_a_host_sets_options_for_all_as_texts_or_values(tmp_path: Path) -> None:
    checkpoint(tmp_path)
    plain = generate(load(tmp_path).session({"temp": 0, "n-predict": 10}), "the")
    model = load(tmp_path, temp="0", n_predict="10", context="20")
    assert generate(model.session({}), "the") == plain
    assert model.context == 20
    session = model.session({"n-predict": 3})
    generate(session, "the")
    assert session.metadata()["output_tokens"] == 3
    assert load(tmp_path, context=10**9).context == CONTEXT


@pytest.mark.parametrize(
    "options",
    [
        {"nothing": 1},
        {"context": -1},
        {"context": "x"},
        {"threads": -1},
        {"temp": "hot"},
        {"guides": 5},
    ],
)
def test_a_hosts_wrong_options_are_refused(tmp_path: Path, options: dict) -> None:
    with pytest.raises(InvalidArgument, match="option"):
        load(tmp_path, **options)


def test_it_is_found_by_its_name() -> None:
    assert isinstance(registry.find("text"), Text)
    assert "ggml" in Text.encodings


def test_it_is_found_for_a_checkpoints_folder(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "model.v1")
    assert registry.for_file(str(folder)) == "text"


def test_a_host_may_say_how_many_threads_compute(tmp_path: Path) -> None:
    import torch

    before = torch.get_num_threads()
    try:
        load(checkpoint(tmp_path), threads="2")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_its_module_imports_no_library() -> None:
    module = "onecopy.nn.backends.text.backend"
    code = f"import sys, {module}; print({{'torch', 'msgspec'}} & set(sys.modules))"
    assert output_of(code) == "{'msgspec'}"
