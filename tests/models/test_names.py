from __future__ import annotations

import pytest
import torch

from onecopy.models.names import settable


class Own(torch.nn.Linear):
    default = 3
    kind = int

    @property
    def computed(self) -> int:
        return 1

    @staticmethod
    def helper() -> None: ...


@pytest.mark.parametrize("name", ["in_features", "anything", "0", "default", "_Own__private"])
def test_data_may_be_set(name: str) -> None:
    assert settable(Own, name) == name


@pytest.mark.parametrize(
    "name", ["forward", "computed", "helper", "kind", "__doc__", "_forward_hooks", "training"]
)
def test_what_code_looks_up_may_not(name: str) -> None:
    assert settable(Own, name) is None


def test_every_attribute_that_torch_gives_a_module_is_out_of_reach() -> None:
    for name in (*vars(torch.nn.Module()), *dir(torch.nn.Module)):
        assert settable(torch.nn.Linear, name) is None, name


def test_names_are_interned_for_quick_look_ups() -> None:
    name = "".join(["in_", "features"])
    assert settable(Own, name) is settable(Own, "in_features")
