"""JSON Schemas of functions, and what they say about arguments."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import pytest

from onecopy import InvalidArgument
from onecopy.agents.grants.tools.schema import Schema, arguments_of, schema_of


class Point(msgspec.Struct):
    x: float
    y: float = 0.0


def move(
    to: Point,
    how: Annotated[Literal["fast", "slow"], msgspec.Meta(description="The speed.")] = "slow",
    tags: list[str] | None = None,
) -> None:
    """Move."""


def test_a_functions_annotations_are_its_schema() -> None:
    schema = schema_of(arguments_of(move))
    assert schema["required"] == ["to"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["how"]["enum"] == ["fast", "slow"]
    assert schema["properties"]["how"]["description"] == "The speed."
    assert "Point" in schema["$defs"]


@pytest.mark.parametrize(
    ("arguments", "where"),
    [
        ({"to": {"x": 1, "y": 2}, "how": "fast"}, ""),
        ({}, "to"),
        ({"to": {"x": "one"}}, "$.to.x"),
        ({"to": {"x": 1}, "how": "warp"}, "$.how"),
        ({"to": {"x": 1}, "more": 1}, "more"),
        ([], "$"),
        (None, "$"),
    ],
)
def test_a_complaint_says_where(arguments: Any, where: str) -> None:
    complaint = Schema(schema_of(arguments_of(move))).complaint(arguments)
    assert where in complaint
    assert bool(complaint) == bool(where)


def test_complaints_are_short() -> None:
    schema = Schema({"type": "object", "properties": {"a": {"maxLength": 1}}})
    assert len(schema.complaint({"a": "x" * 100_000})) <= 300


@pytest.mark.parametrize("schema", [{"type": "nothing"}, {"type": "string"}, {}, {"properties": 1}])
def test_what_is_no_schema_of_an_object_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        Schema(schema)


def test_references_are_not_fetched() -> None:
    schema = Schema({"type": "object", "properties": {"a": {"$ref": "http://127.0.0.1:1/s.json"}}})
    assert "refers to" in schema.complaint({"a": 1})


def test_arguments_without_names_or_with_strange_types_are_refused() -> None:
    def spread(*args: int) -> None: ...

    def strange(what: complex) -> None: ...

    with pytest.raises(InvalidArgument, match="args"):
        arguments_of(spread)
    with pytest.raises(InvalidArgument, match="complex"):
        schema_of(arguments_of(strange))
