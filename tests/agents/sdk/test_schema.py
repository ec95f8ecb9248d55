"""JSON Schemas of type hints, and values that fit them or not."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any, Literal, Optional, TypedDict, Union

import pytest
from hypothesis import given
from hypothesis import strategies as st
from onecopy_agent import schema


class Colour(enum.Enum):
    RED = "red"


class Place(TypedDict):
    line: int


@dataclass
class Person:
    name: str
    age: int = 0


@pytest.mark.parametrize(
    ("hint", "fits", "does_not"),
    [
        (str, "a", 1),
        (int, 1, True),
        (float, 1, "1"),
        (bool, True, 0),
        (None, None, 0),
        (list[int], [1], ["1"]),
        (list, ["a"], "a"),
        (dict[str, int], {"a": 1}, {"a": "1"}),
        (Optional[int], None, "1"),  # noqa: UP045
        (Union[int, str], "a", 1.5),  # noqa: UP007
        (int | str, "a", 1.5),
        (Literal["a", 1], 1, True),
        (Colour, "red", "blue"),
        (Place, {"line": 1}, {"line": "1"}),
        (Person, {"name": "A"}, {"age": 1}),
        (Person, {"name": "A", "age": 1}, {"name": "A", "size": 1}),
    ],
)
def test_hints_become_schemas(hint, fits, does_not):
    shape = schema.of_type(hint)
    assert schema.mismatch(fits, shape) == ""
    assert schema.mismatch(does_not, shape) != ""


def test_anything_fits_any():
    assert schema.mismatch({"a": [1]}, schema.of_type(Any)) == ""


def test_parameters_are_required_without_a_default():
    def weather(city: str, days: int = 1) -> str: ...

    assert schema.of_parameters(weather) == {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city"],
        "additionalProperties": False,
    }


def test_a_parameter_without_a_hint_is_refused():
    with pytest.raises(TypeError, match="city needs a type hint"):
        schema.of_parameters(lambda city: city)


def test_what_has_no_schema_is_refused():
    with pytest.raises(TypeError, match="no JSON Schema"):
        schema.of_type(complex)


def test_a_mismatch_says_where():
    shape = schema.of_type(list[Person])
    assert schema.mismatch([{"name": "A"}, {"name": 1}], shape) == "[1].name is no string"
    assert schema.mismatch([{"nom": "A"}], shape) == "[0] lacks 'name'"


def test_fields_that_a_schema_lacks_are_left_out():
    shape = schema.of_type(list[Person])
    assert schema.only([{"name": "A", "size": 1}], shape) == [{"name": "A"}]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(JSON)
def test_any_value_is_judged_without_an_error(value):
    for hint in (Person, list[Person], dict[str, list[int]], Optional[Place]):  # noqa: UP045
        shape = schema.of_type(hint)
        assert isinstance(schema.mismatch(value, shape), str)
        schema.only(value, shape)
