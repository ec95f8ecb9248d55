"""Tools that a manifest grants: functions of the host, and requests that it describes itself."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from onecopy.agents.manifest import json_value, places
from onecopy.agents.manifest.http_grant import BODILESS, HttpGrant, HttpRule, check_query
from onecopy.agents.manifest.parameters import Parameters
from onecopy.agents.manifest.path_template import REST
from onecopy.agents.manifest.quantities import Size
from onecopy.agents.manifest.wrong import Wrong

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


class ToolRequest(HttpRule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[grants.tools.request]`: what a tool sends, with places for the event and the arguments.

    In `path` they are a template's, `{event.repo}` and `{name}`; in `query` and `body` a value that
    is a place and nothing else is filled.
    """

    max_response: Size = Size(1 << 20)
    query: dict[str, str | int | bool] = msgspec.field(default_factory=dict)
    """Parameters and their values; one whose argument is not given is left out."""
    body: dict[str, Any] | None = None
    """A JSON object that is sent, its places filled."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_query(tuple(self.query))
        if self.body is not None and self.method in BODILESS:
            raise Wrong("body", f"a {self.method} has none; use POST, or query")
        json_value.check(self.body or {}, "body")
        if any(piece.kind == REST for segment in self.path.segments for piece in segment):
            raise Wrong("path", "an argument is one segment, {name}, and not the rest of a path")
        for name, value in self.headers.items():
            if place := places.within(value):
                raise Wrong("headers", f"{name} has {place}, and nothing fills headers")

    @property
    def fields(self) -> frozenset[str]:
        """The fields of the event that it is bound to."""
        return self.path.fields | places.fields(self.query) | places.fields(self.body)

    @property
    def grant(self) -> HttpGrant:
        """The requests that it may come to, whatever the arguments are."""
        return HttpGrant(
            query=tuple(self.query),
            **{name: getattr(self, name) for name in HttpRule.__struct_fields__},
        )


class ToolGrant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[[grants.tools]]`: a function of the host, or with `request` a request over HTTP."""

    name: str
    """Of an entry point of the group `onecopy.tools`, or of a tool that the server has; with
    `request` any."""
    description: str = ""
    """For the model; with `request`."""
    parameters: Parameters = Parameters({"type": "object"})
    """Of the arguments; with `request`."""
    request: ToolRequest | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise Wrong("name", f"{self.name!r} is no name of letters, digits, - and _")
        if self.request is not None:
            self._check_request(self.request)
        elif self.description or self.parameters.properties:
            raise Wrong(
                "request", "what is described here has to say what it sends: it has to be there"
            )

    def _check_request(self, request: ToolRequest) -> None:
        if not self.description.strip():
            raise Wrong("description", "tell the model what the tool is for")
        in_path, in_query = request.path.places, places.arguments(request.query)
        filled = in_path | in_query | places.arguments(request.body)
        for name in sorted(filled - self.parameters.properties.keys()):
            raise Wrong(
                "parameters", f"properties has no {name!r}, which the request has a place for"
            )
        for name in sorted(self.parameters.properties.keys() - filled):
            raise Wrong("parameters", f'{name!r} goes nowhere; write "{{{name}}}" into the request')
        for name in sorted(in_path | in_query):
            if not self.parameters.scalar(name, null=name not in in_path):
                raise Wrong(
                    "parameters",
                    f"{name!r} needs a type that fits into a URL: string, "
                    "integer, number or boolean",
                )
        for name in sorted(in_path):
            if not self.parameters.requires(name):
                raise Wrong("parameters", f"a path needs all its places: add {name!r} to required")
