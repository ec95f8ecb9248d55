"""Arguments of calls are checked, whoever sends them."""

from __future__ import annotations

from typing import Any

import pytest

from onecopy.agents.calls import INVALID, Refused
from onecopy.agents.grants.arguments import checked

FUNCTIONS: dict[str, Any] = {"get": tuple[str, int]}


def test_arguments_of_the_right_types_are_returned() -> None:
    assert checked(FUNCTIONS, "get", ["key", 1]) == ("key", 1)


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("set", ["key", 1]),
        ("__class__", []),
        ("get", []),
        ("get", ["key", 1, 2]),
        ("get", ["key", "1"]),
        ("get", [b"key", 1]),
        ("get", ["\ud800", 1]),
        ("get", None),
    ],
)
def test_others_are_refused(function: str, arguments: Any) -> None:
    with pytest.raises(Refused) as caught:
        checked(FUNCTIONS, function, arguments)
    assert caught.value.refusal.code == INVALID
