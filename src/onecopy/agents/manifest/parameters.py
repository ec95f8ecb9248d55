"""What arguments a tool takes: a JSON Schema, in the manifest or in a file beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec

from onecopy.agents.manifest import json_value

_FILE_NBYTES: Final = 1 << 20
_SCALARS: Final = ("string", "integer", "number", "boolean")


class Parameters:
    """The JSON Schema of an object; arguments that it does not name are none.

    Example:
        >>> Parameters({"type": "object", "properties": {}}).schema["additionalProperties"]
        False
    """

    def __init__(self, value: Any) -> None:
        """Take a table; what is no schema of an object is a `ValueError` that says why."""
        if not isinstance(value, dict) or value.get("type") != "object":
            raise ValueError('write a JSON Schema of an object: { type = "object", … }')
        json_value.check(value, "")
        named = value.get("properties", {})
        if not isinstance(named, dict) or not all(isinstance(p, dict) for p in named.values()):
            raise ValueError("properties has a schema for each argument, by its name")
        self.schema: dict[str, Any] = {"additionalProperties": False, **value}
        self.properties: dict[str, dict[str, Any]] = named

    @classmethod
    def read(cls, value: Any, folder: Path) -> Parameters:
        """Take a table, or the name of a JSON file in a folder.

        Raises:
            ValueError: it is no schema of an object, or there is no such file.
        """
        return cls(_file(folder / value) if isinstance(value, str) else value)

    def requires(self, name: str) -> bool:
        """Say whether an argument has to be given."""
        required = self.schema.get("required")
        return isinstance(required, list) and name in required

    def scalar(self, name: str, *, null: bool) -> bool:
        """Say whether an argument is a text, a number or a boolean; or null, if that counts."""
        kinds = self.properties[name].get("type")
        listed = kinds if isinstance(kinds, list) else [kinds]
        allowed = (*_SCALARS, "null") if null else _SCALARS
        return bool(listed) and all(each in allowed for each in listed)


def _file(path: Path) -> Any:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    if len(raw) > _FILE_NBYTES:
        raise ValueError(f"{path} is over {_FILE_NBYTES} bytes")
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(f"{path} is no JSON: {error}") from None
