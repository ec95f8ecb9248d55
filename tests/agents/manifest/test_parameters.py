"""Schemas of arguments, in the manifest or beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from onecopy.agents.manifest.parameters import Parameters

SCHEMA = {
    "type": "object",
    "required": ["a"],
    "properties": {"a": {"type": "string"}, "b": {"type": ["integer", "null"]}, "c": {}},
}


def test_a_file_is_read_from_the_folder_of_the_manifest(tmp_path: Path):
    (tmp_path / "a.json").write_text(json.dumps(SCHEMA))
    read, given = Parameters.read("a.json", tmp_path), Parameters.read(SCHEMA, tmp_path)
    assert read.schema == given.schema == {**SCHEMA, "additionalProperties": False}


def test_arguments_that_it_does_not_name_are_allowed_only_if_it_says_so():
    assert Parameters({**SCHEMA, "additionalProperties": True}).schema["additionalProperties"]


def test_it_knows_what_has_to_be_given_and_what_fits_into_a_url():
    parameters = Parameters(SCHEMA)
    assert [parameters.requires(name) for name in "abc"] == [True, False, False]
    assert [parameters.scalar(name, null=True) for name in "abc"] == [True, True, False]
    assert [parameters.scalar(name, null=False) for name in "abc"] == [True, False, False]


@pytest.mark.parametrize(
    "schema",
    [None, 5, [], {}, {"type": "array"}, {"type": ["object"]}, {"type": "object", "properties": []},
     {"type": "object", "properties": {"a": 1}}, {"type": "object", "minimum": float("nan")}],
)  # fmt: skip
def test_what_is_no_schema_of_an_object_is_refused(schema: Any):
    with pytest.raises(ValueError, match=r"type = \"object\"|properties|JSON has no"):
        Parameters(schema)


def test_a_file_that_is_not_there_or_is_no_json_is_named(tmp_path: Path):
    (tmp_path / "a.json").write_text("{")
    (tmp_path / "b.json").write_text("[" * 100_000)
    for name, says in [("a.json", "no JSON"), ("b.json", "no JSON"), ("c.json", "No such file")]:
        with pytest.raises(ValueError, match=says) as caught:
            Parameters.read(name, tmp_path)
        assert name in str(caught.value)


@pytest.mark.parametrize("odd", [{"required": 5}, {"required": {"a": 1}}])
def test_whatever_required_is_nothing_breaks(odd: dict[str, Any]):
    schema = {**SCHEMA, **odd, "properties": {"a": {"type": [[], {}]}}}
    assert not Parameters(schema).requires("a")
    assert not Parameters(schema).scalar("a", null=True)
