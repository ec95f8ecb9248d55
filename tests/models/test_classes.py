from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import pytest
import torch

from onecopy.errors import UnsupportedValue
from onecopy.models import classes
from tests.models import zoo
from tests.prepared import output_of


@dataclass
class Plain:
    x: int


class Pair(NamedTuple):
    x: int


class Slotted:
    __slots__ = ("x",)


def test_a_class_of_torch_is_found_without_importing() -> None:
    assert classes.find("torch.nn.modules.linear.Linear") is torch.nn.Linear


def test_an_allowed_class_is_found_while_it_is_allowed() -> None:
    path = classes.path_of(zoo.Net)
    with torch.serialization.safe_globals([zoo.Net]):
        assert classes.find(path) is zoo.Net
    with pytest.raises(UnsupportedValue, match=r"add_safe_globals\(\[Net\]\)"):
        classes.find(path)


def test_an_allowed_class_is_found_by_the_path_it_was_given() -> None:
    with torch.serialization.safe_globals([(zoo.Net, "other.Net")]):
        assert classes.find("other.Net") is zoo.Net


def test_models_and_configurations_of_transformers_are_found() -> None:
    pytest.importorskip("transformers")
    from transformers import BertConfig, BertModel, GenerationConfig

    for kind in (BertModel, BertConfig, GenerationConfig):
        assert classes.find(classes.path_of(kind)) is kind


def test_a_transformers_that_is_not_there_is_named() -> None:
    code = """
        import sys
        sys.modules["transformers"] = None
        from onecopy.models import classes
        try:
            classes.find("transformers.models.bert.modeling_bert.BertModel")
        except Exception as error:
            print(type(error).__name__, "pip install transformers" in str(error))
    """
    assert output_of(code) == "UnsupportedValue True"


@pytest.mark.parametrize("kind", [Plain, type("Empty", (), {})])
def test_objects_with_attributes_only_are_plain(kind: type) -> None:
    assert classes.has_plain_state(kind)


@pytest.mark.parametrize(
    "kind", [Pair, Slotted, zoo.Norm, torch.nn.Linear, torch.Tensor, type, dict, int, slice]
)
def test_all_others_are_not(kind: type) -> None:
    assert not classes.has_plain_state(kind)
