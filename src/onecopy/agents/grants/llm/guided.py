"""What a local model is kept to: a schema for its whole answer, from which calls of tools are read.

With guided decoding each token continues JSON of the schema, so that every call parses.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from onecopy.agents.calls import INVALID, Refused
from onecopy.agents.grants.llm.request import AsObject, AsSchema, Chosen, Offered, Request

_OBJECT: Final[dict[str, Any]] = {"type": "object"}
_DEFINITIONS: Final = ("$defs", "definitions")
# As Python writes JSON: where any space is allowed, weak models go on with spaces.
_SPACES: Final = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


def schema_of(request: Request) -> dict[str, Any] | None:
    """Return the schema of an answer; None if it is free text.

    With tools it is `{"tool": name, "arguments": …}`, or `{"answer": …}` where that is allowed.

    Raises:
        Refused: a tool has to be called that is not offered.
    """
    tools = offered(request)
    content = _content(request)
    if not tools:
        return None if content is None else {"x-guidance": _SPACES, **content}
    parts: list[dict[str, Any]] = []
    definitions: dict[str, Any] = {}
    for index, tool in enumerate(tools):
        parts.append(_fixed(tool={"const": tool.function.name}, arguments=_ref(f"t{index}")))
        definitions |= _lifted(tool.function.parameters or _OBJECT, f"t{index}")
    if request.tool_choice in (None, "auto"):
        definitions |= _lifted(content or {"type": "string"}, "answer")
        parts.append(_fixed(answer=_ref("answer")))
    return {"x-guidance": _SPACES, "anyOf": parts, "$defs": definitions}


def offered(request: Request) -> list[Offered]:
    """Return the tools that the model may call now."""
    choice, tools = request.tool_choice, list(request.tools or ())
    if choice == "none":
        return []
    if not isinstance(choice, Chosen):
        return tools
    found = [each for each in tools if each.function.name == choice.function.name]
    if not found:
        raise Refused(INVALID, f"tool_choice: no tool {choice.function.name!r} is offered")
    return found


def read(text: str) -> tuple[str, tuple[str, str] | None]:
    """Return the content of an answer that was kept to tools, or else the tool and its arguments.

    >>> read('{"tool": "add", "arguments": {"a": 1}}')
    ('', ('add', '{"a":1}'))
    """
    found = msgspec.json.decode(text)
    if "tool" in found:
        return "", (found["tool"], msgspec.json.encode(found["arguments"]).decode())
    answer = found["answer"]
    return answer if isinstance(answer, str) else msgspec.json.encode(answer).decode(), None


def _content(request: Request) -> dict[str, Any] | None:
    match request.response_format:
        case AsObject():
            return _OBJECT
        case AsSchema(json_schema=named):
            return named.schema or _OBJECT
        case _:
            return None


def _fixed(**properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/$defs/{name}"}


def _lifted(schema: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a schema as definitions of another: its own get its name in front."""
    inner = {key: each for kind in _DEFINITIONS for key, each in schema.get(kind, {}).items()}
    outer = {key: value for key, value in schema.items() if key not in _DEFINITIONS}
    found = {f"{name}.{key}": _moved(each, name) for key, each in inner.items()}
    return {name: _moved(outer, name), **found}


def _moved(schema: Any, name: str) -> Any:
    if isinstance(schema, list):
        return [_moved(each, name) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _target(value, name) if key == "$ref" else _moved(value, name)
        for key, value in schema.items()
    }


def _target(reference: Any, name: str) -> Any:
    if reference == "#":
        return f"#/$defs/{name}"
    for kind in _DEFINITIONS:
        start = f"#/{kind}/"
        if isinstance(reference, str) and reference.startswith(start):
            return f"#/$defs/{name}.{reference.removeprefix(start)}"
    return reference
