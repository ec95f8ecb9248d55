"""One tool."""

from __future__ import annotations

import pytest

from onecopy import InvalidArgument
from onecopy.agents.calls import INVALID, Refused
from onecopy.agents.grants.tools import Tool


def scale(value: float, by: float = 2.0) -> float:
    """Multiply a number."""
    return value * by


def test_a_function_is_described_as_a_chat_completion_wants_it() -> None:
    described = Tool.of(scale).describe()
    assert described["type"] == "function"
    assert described["function"]["name"] == "scale"
    assert described["function"]["description"] == "Multiply a number."
    assert described["function"]["parameters"]["properties"]["value"] == {"type": "number"}


def test_arguments_are_made_what_the_function_takes() -> None:
    assert Tool.of(scale).checked({"value": 3}) == {"value": 3.0, "by": 2.0}
    with pytest.raises(Refused) as caught:
        Tool.of(scale).checked({"value": "3"})
    assert caught.value.refusal.code == INVALID


def test_a_schema_may_be_given() -> None:
    tool = Tool("n-th", "", {"type": "object", "properties": {"n": {"minimum": 1}}}, scale)
    assert tool.checked({"n": 1}) == {"n": 1}
    with pytest.raises(Refused):
        tool.checked({"n": 0})


@pytest.mark.parametrize("name", ["", "a b", "a.b", "é", "x" * 65])
def test_names_are_those_of_the_interface(name: str) -> None:
    with pytest.raises(InvalidArgument):
        Tool(name, "", {"type": "object"}, scale)


def test_a_tool_with_another_function_is_the_same_to_a_model() -> None:
    tool = Tool.of(scale)
    other = tool.bound(len)
    assert (other.function, tool.function) == (len, scale)
    assert other.describe() == tool.describe()
    assert other.checked({"value": 3}) == {"value": 3.0, "by": 2.0}
