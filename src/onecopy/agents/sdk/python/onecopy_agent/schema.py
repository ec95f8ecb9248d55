"""JSON Schemas of Python's type hints, and the check of values against them.

Only what hints of tools need: the types of JSON, lists, dictionaries, literals, enums, options,
unions, dataclasses and typed dictionaries.
"""

from __future__ import annotations

import dataclasses
import enum
import inspect
import types
import typing
from typing import TYPE_CHECKING, Any, Literal, Union

if TYPE_CHECKING:
    from collections.abc import Callable

_SIMPLE: dict[Any, str] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    type(None): "null",
    None: "null",
}
_PYTHON: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
    "array": (list,),
    "object": (dict,),
}


def of_parameters(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the schema of a function's arguments, each by its name.

    Raises:
        TypeError: a parameter has no hint, or one that has no schema.
    """
    hints = typing.get_type_hints(function)
    properties, required = {}, []
    for name, each in inspect.signature(function).parameters.items():
        if name not in hints:
            raise TypeError(f"{function.__name__}: the parameter {name} needs a type hint")
        properties[name] = of_type(hints[name])
        if each.default is each.empty:
            required.append(name)
    return _object(properties, required)


def of_type(hint: Any) -> dict[str, Any]:
    """Return the schema of a type hint."""
    if hint is Any:
        return {}
    if hint in _SIMPLE:
        return {"type": _SIMPLE[hint]}
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin in (Union, types.UnionType):
        return {"anyOf": [of_type(each) for each in arguments]}
    if list in (hint, origin):
        return {"type": "array", **({"items": of_type(arguments[0])} if arguments else {})}
    if dict in (hint, origin):
        return {"type": "object", **_values(arguments)}
    return _of_class(hint)


def _values(arguments: tuple[Any, ...]) -> dict[str, Any]:
    return {"additionalProperties": of_type(arguments[1])} if arguments else {}


def _of_class(hint: Any) -> dict[str, Any]:
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return {"enum": [each.value for each in hint]}
    if typing.is_typeddict(hint):
        hints = typing.get_type_hints(hint)
        return _object({k: of_type(v) for k, v in hints.items()}, sorted(hint.__required_keys__))
    if dataclasses.is_dataclass(hint):
        hints = typing.get_type_hints(hint)
        fields = dataclasses.fields(hint)
        required = [each.name for each in fields if _has_no_default(each)]
        return _object({each.name: of_type(hints[each.name]) for each in fields}, required)
    raise TypeError(f"{hint!r} has no JSON Schema; use str, int, float, bool, list, dict, Literal")


def _has_no_default(field: dataclasses.Field[Any]) -> bool:
    missing = dataclasses.MISSING
    return field.default is missing and field.default_factory is missing


def _object(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def mismatch(value: Any, schema: dict[str, Any], at: str = "") -> str:
    """Return where a value does not fit a schema and why; the empty text where it fits."""
    if "anyOf" in schema:
        fits = any(not mismatch(value, each, at) for each in schema["anyOf"])
        return "" if fits else f"{at or 'the value'} fits none of its types"
    if "enum" in schema:
        fits = any(value == each and type(value) is type(each) for each in schema["enum"])
        return "" if fits else f"{at or 'the value'} is none of {schema['enum']}"
    kind = schema.get("type")
    if isinstance(kind, list):
        return mismatch(value, {"anyOf": [{**schema, "type": each} for each in kind]}, at)
    if kind is not None and not _is(value, kind):
        return f"{at or 'the value'} is no {kind}"
    return _within(value, schema, at)


def only(value: Any, schema: dict[str, Any]) -> Any:
    """Return a value without the fields that its schema does not have, where it allows no others.

    Models like to add some.
    """
    if isinstance(value, list) and "items" in schema:
        return [only(each, schema["items"]) for each in value]
    if not isinstance(value, dict) or schema.get("additionalProperties") is not False:
        return value
    known = schema.get("properties", {})
    return {name: only(each, known[name]) for name, each in value.items() if name in known}


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool) and kind != "boolean":
        return False
    return isinstance(value, _PYTHON.get(kind, (object,)))


def _within(value: Any, schema: dict[str, Any], at: str) -> str:
    if isinstance(value, list) and "items" in schema:
        found = (mismatch(v, schema["items"], f"{at}[{i}]") for i, v in enumerate(value))
        return next(filter(None, found), "")
    return _of_fields(value, schema, at) if isinstance(value, dict) else ""


def _of_fields(value: dict[str, Any], schema: dict[str, Any], at: str) -> str:
    properties, others = schema.get("properties", {}), schema.get("additionalProperties", {})
    for name in schema.get("required", ()):
        if name not in value:
            return f"{at or 'the value'} lacks {name!r}"
    for name, each in value.items():
        known = properties.get(name, others)
        if known is False:
            return f"{at or 'the value'} has an unknown {name!r}"
        wrong = mismatch(each, known, f"{at}.{name}".lstrip(".")) if isinstance(known, dict) else ""
        if wrong:
            return wrong
    return ""
