"""Tools that a manifest describes: what cannot be is refused before anything runs."""

from __future__ import annotations

import pytest

from onecopy.agents.manifest import Manifest
from onecopy.errors import InvalidManifest

TOOL = """\
[agent]
name = "x"
component = "x.wasm"
[[triggers.cli]]
kinds = ["ask"]
fields = { repo = "repo" }
subject = "{repo}"
[[grants.tools]]
name = "comment"
description = "Comment on an issue of this repository."
[grants.tools.parameters]
type = "object"
required = ["number", "text"]
properties.number = { type = "integer" }
properties.text = { type = "string", maxLength = 1000 }
properties.silent = { type = "boolean" }
[grants.tools.request]
origin = "https://api.test"
method = "POST"
path = "/repos/{event.repo}/issues/{number:int}/comments"
query = { silent = "{silent}", api = 2 }
body = { body = "{text}", by = "a bot", repo = "{event.repo}" }
headers = { Authorization = "Bearer env:TOKEN" }
"""


def test_a_tool_is_described_and_knows_its_fields_secrets_and_requests():
    manifest = Manifest.parse(TOOL, ".")
    (tool,) = manifest.grants.tools
    assert tool.request is not None
    assert tool.request.fields == {"repo"}
    assert manifest.secrets == ["env:TOKEN"]
    grant = tool.request.grant
    assert (grant.origin, grant.method, grant.query) == (
        "https://api.test",
        "POST",
        ("silent", "api"),
    )
    assert grant.max_response == 1 << 20


def test_a_tool_without_arguments_needs_no_parameters():
    text = TOOL[: TOOL.index("[grants.tools.parameters]")]
    manifest = Manifest.parse(
        text + '[grants.tools.request]\norigin = "https://a.b"\nmethod = "GET"\npath = "/zen"\n',
        ".",
    )
    assert manifest.grants.tools[0].parameters.schema["additionalProperties"] is False


WRONG = [
    ('description = "Comment on an issue of this repository."', "", 8, "description", "the model"),
    ("{number:int}", "{numbr:int}", 11, "tools[0].parameters", "no 'numbr'"),
    ("{number:int}/comments", "{number...}", 20, "tools[0].request.path", "one segment"),
    ("{number:int}", "5", 11, "tools[0].parameters", '"{number}"'),
    ('required = ["number", "text"]', 'required = ["text"]', 11, "parameters", "to required"),
    ('number = { type = "integer" }', 'number = { type = "array" }', 11, "parameters", "a URL"),
    ('number = { type = "integer" }', "number = { minimum = 1 }", 11, "parameters", "a URL"),
    ('silent = { type = "boolean" }', 'silent = { type = "object" }', 11, "parameters", "a URL"),
    ("{event.repo}/issues", "{event.rpo}/issues", 17, "tools[0].request", "fields of one"),
    ('repo = "{event.repo}" }', 'repo = "{event.rpo}" }', 17, "tools[0].request", "fields of one"),
    ('type = "object"', 'type = "string"', 11, "tools[0].parameters", "JSON Schema of an object"),
    ("maxLength = 1000", "maxLength = 2020-01-01", 15, "properties.text.maxLength", "JSON has no"),
    ("api = 2", "api = [2]", 21, "tools[0].request.query", "array"),
    ("api = 2", '"a&b" = 2', 21, "tools[0].request.query", "no name of a parameter"),
    ('by = "a bot"', "by = 2020-01-01", 22, "tools[0].request.body.by", "JSON has no"),
    ('"POST"', '"GET"', 22, "tools[0].request.body", "has none"),
    ("Bearer env:TOKEN", "Bearer {text}", 23, "tools[0].request.headers", "env:NAME"),
    ("Authorization =", "X-Title =", 23, "tools[0].request.headers", ""),
    ("https://api", "http://api", 18, "tools[0].request.origin", "private"),
    ("https://api.test", "https://{text}", 18, "tools[0].request.origin", "no origin"),
    ("[grants.tools.request]", "[grants.tools.requests]", 17, "requests", "did you mean 'request'"),
]


@pytest.mark.parametrize(("right", "wrong", "line", "key", "hint"), WRONG)
def test_what_cannot_be_is_refused_with_line_and_key_and_what_to_write(
    right: str, wrong: str, line: int, key: str, hint: str
):
    assert right in TOOL
    text = TOOL.replace(right, wrong, 1)
    if wrong == "X-Title =":
        text = text.replace("Bearer env:TOKEN", "{text}")
        hint = "nothing fills headers"
    with pytest.raises(InvalidManifest) as caught:
        Manifest.parse(text, ".")
    said = str(caught.value)
    assert said.startswith(f"agent.toml, line {line}: "), said
    assert key in said, said
    assert hint in said, said


def test_what_is_described_has_to_say_what_it_sends():
    with pytest.raises(InvalidManifest, match="request: "):
        Manifest.parse(TOOL[: TOOL.index("[grants.tools.parameters]")], ".")
