from __future__ import annotations

import json
from pathlib import Path

import pytest

import onecopy
from onecopy import InvalidModel, ModelNotFound, UnsupportedOperation, nn
from onecopy.nn.backends.backend import Source

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from onecopy.nn.backends.text.source import load  # noqa: E402
from tests.nn.backends.text.zoo import checkpoint, gpt2, tokenizer  # noqa: E402


def of_entry(name: str) -> Source:
    return Source(backend="text", store="texts", entry=name)


def of_files(*files: Path, foreign: bool = False) -> Source:
    return Source(backend="text", files=tuple(map(str, files)), foreign=foreign)


@pytest.fixture
def store():
    with onecopy.start("texts", capacity="64MiB") as store:
        yield store


def test_an_entry_is_loaded_without_copying_a_weight(store) -> None:
    store.save_module("llm", gpt2().train())
    nn.save_tokenizer(store, "llm", tokenizer())
    model, found = load(of_entry("llm"), "", "")
    assert not model.training
    assert store.stat("llm").in_use
    weight = model.transformer.h[0].mlp.c_fc.weight
    address = weight.data_ptr()
    maps = Path("/proc/self/maps").read_text().splitlines()
    spans = [line.split()[0].split("-") for line in maps if "onecopy" in line]
    assert any(int(start, 16) <= address < int(end, 16) for start, end in spans)
    assert found("the")["input_ids"] == tokenizer()("the")["input_ids"]


def test_a_model_that_is_removed_while_in_use_stays(store) -> None:
    store.save_module("llm", gpt2())
    nn.save_tokenizer(store, "llm", tokenizer())
    model, _ = load(of_entry("llm"), "", "")
    store.remove("llm")
    assert torch.isfinite(model(torch.tensor([[1, 2]])).logits).all()


@pytest.mark.parametrize("point", ["folder", "config"])
def test_a_folder_is_loaded(tmp_path: Path, point: str) -> None:
    checkpoint(tmp_path)
    path = tmp_path / "config.json" if point == "config" else tmp_path
    model, found = load(of_files(path), "", "")
    ids = torch.tensor([[5, 6, 7]])
    assert torch.equal(model(ids).logits, gpt2()(ids).logits)
    assert found.eos_token_id == 0


def test_a_folders_weights_may_have_another_type(tmp_path: Path) -> None:
    model, _ = load(of_files(checkpoint(tmp_path)), "", "bfloat16")
    assert model.dtype == torch.bfloat16


def test_what_is_not_there_is_not_found(store, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="save_module"):
        load(of_entry("nothing"), "", "")
    with pytest.raises(ModelNotFound, match="no such folder"):
        load(of_files(tmp_path / "nothing"), "", "")


def test_an_entry_without_a_tokenizer_is_refused(store) -> None:
    store.save_module("llm", gpt2())
    with pytest.raises(InvalidModel, match="save_tokenizer"):
        load(of_entry("llm"), "", "")


def test_entries_that_are_no_model_of_transformers_are_refused(store) -> None:
    store.save("tensor", torch.ones(3))
    store.save_module("net", torch.nn.Linear(2, 2))
    for name in ("tensor", "net"):
        with pytest.raises(InvalidModel, match=name):
            load(of_entry(name), "", "")


def test_folders_that_are_no_checkpoint_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidModel, match="no config"):
        load(of_files(tmp_path), "", "")
    with pytest.raises(InvalidModel, match="one folder"):
        load(of_files(tmp_path, tmp_path), "", "")


@pytest.mark.parametrize(
    "config",
    [
        "nonsense",
        "[]",
        "{}",
        json.dumps({"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]}),
        json.dumps({"model_type": "gpt2", "architectures": ["os"]}),
        json.dumps({"model_type": "gpt2", "architectures": ["AutoTokenizer"]}),
        json.dumps({"model_type": "evil", "auto_map": {"AutoConfig": "evil.Evil"}}),
    ],
)
def test_hostile_configurations_are_refused(tmp_path: Path, config: str) -> None:
    (tmp_path / "config.json").write_text(config)
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(InvalidModel):
        load(of_files(tmp_path), "", "")
    assert not (tmp_path / "ran").exists()


def test_broken_weights_are_refused(tmp_path: Path) -> None:
    checkpoint(tmp_path)
    whole = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InvalidModel, match="transformers does not read"):
        load(of_files(tmp_path), "", "")


def test_what_a_guest_brings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedOperation, match="host name one"):
        load(of_files(checkpoint(tmp_path), foreign=True), "", "")
