from __future__ import annotations

import json

import pytest

from onecopy.errors import InvalidArgument
from onecopy.planner.budget.subjects import opened, planned
from tests.planner.budget import modules

HERE = modules.__name__


def test_a_function_returns_a_module_or_a_plan() -> None:
    assert isinstance(opened(f"{HERE}:wide", weights=True), modules.Wide)
    assert planned(f"{HERE}:wide_plan").dims["s"].upper == 4096
    with pytest.raises(InvalidArgument, match="returns Wide, not a plan"):
        planned(f"{HERE}:wide")


def test_a_file_is_a_saved_plan(tmp_path) -> None:
    modules.wide_plan().save(tmp_path / "plan")
    plan = planned(str(tmp_path / "plan"))
    assert plan.fit("3MiB", maximize="s") == modules.wide_plan().fit("3MiB", maximize="s")


@pytest.mark.parametrize("name", ["nowhere:module", f"{HERE}:no", "x", ":", ".:y", "os:sep"])
def test_what_names_nothing_is_refused(name: str) -> None:
    with pytest.raises(InvalidArgument, match="function"):
        opened(name, weights=False)


def test_what_people_try_first_is_told_how_to_write_it() -> None:
    with pytest.raises(InvalidArgument, match="a model of a hub has to be downloaded"):
        opened("gpt2", weights=False)
    with pytest.raises(InvalidArgument, match=r"not its file: mine\.models:plan for a function"):
        opened("mine/models.py:plan", weights=False)


def test_a_folder_without_a_config_is_refused(tmp_path) -> None:
    with pytest.raises(InvalidArgument, match=r"no config\.json"):
        opened(str(tmp_path), weights=False)


def test_a_folder_is_a_model_of_transformers(tmp_path) -> None:
    config = {"model_type": "llama", "num_hidden_layers": 1, "hidden_size": 64, "vocab_size": 100}
    sizes = {"intermediate_size": 96, "num_attention_heads": 4, "num_key_value_heads": 2}
    (tmp_path / "config.json").write_text(json.dumps({**config, **sizes}))
    assert opened(str(tmp_path), weights=False).device == "meta"
    assert opened(str(tmp_path), weights=True).device == "cpu"
