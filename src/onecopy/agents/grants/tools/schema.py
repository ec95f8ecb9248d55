"""JSON Schemas: of a Python function's arguments, and what they say about a value."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from onecopy.errors import InvalidArgument

_SHOWN: Final = 300


def arguments_of(function: Callable[..., Any]) -> type[msgspec.Struct]:
    """Return a type that has a field for each argument of a function, by its annotations.

    Raises:
        InvalidArgument: an argument has no name, or a type that JSON has not.
    """
    hints = typing.get_type_hints(function, include_extras=True)
    fields: list[Any] = []
    for name, each in inspect.signature(function).parameters.items():
        if each.kind not in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY):
            raise InvalidArgument(f"{function.__qualname__}: {each} has no name to be called by")
        default = () if each.default is each.empty else (each.default,)
        fields.append((name, hints.get(name, Any), *default))
    return msgspec.defstruct("Arguments", fields, kw_only=True, forbid_unknown_fields=True)


def schema_of(arguments: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the schema of a type from `arguments_of`.

    >>> def area(width: float, height: float = 1.0): ...
    >>> schema_of(arguments_of(area))["required"]
    ['width']
    """
    try:
        (_,), found = msgspec.json.schema_components([arguments], ref_template="#/$defs/{name}")
    except (TypeError, ValueError) as error:
        raise InvalidArgument(f"its arguments cannot be described: {error}") from error
    own = {key: value for key, value in found.pop("Arguments").items() if key != "title"}
    return {**own, "$defs": found} if found else own


class Schema:
    """A JSON Schema, compiled; refers to nothing but itself.

    Raises:
        InvalidArgument: it is none, or describes no object.
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        # Imported here: only who has tools needs the library.
        from jsonschema import Draft202012Validator
        from jsonschema.exceptions import SchemaError
        from referencing import Registry

        try:
            Draft202012Validator.check_schema(schema)
        except SchemaError as error:
            raise InvalidArgument(f"this is no JSON Schema: {error.message[:_SHOWN]}") from error
        if schema.get("type") != "object":
            raise InvalidArgument('the schema of arguments needs "type": "object"')
        # With a registry of its own it fetches nothing, wherever a reference points.
        self._validator = Draft202012Validator(schema, registry=Registry())

    def complaint(self, value: Any) -> str:
        """Return what is wrong with a value, and where; empty if nothing is."""
        from jsonschema.exceptions import best_match
        from referencing.exceptions import Unresolvable

        try:
            error = best_match(self._validator.iter_errors(value))
        except Unresolvable as unresolved:
            return f"the schema refers to what it has not: {unresolved}"[:_SHOWN]
        return "" if error is None else f"{error.json_path}: {error.message}"[:_SHOWN]
