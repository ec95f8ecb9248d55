"""A tool that is a request: what the manifest says, its places filled."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import msgspec

from onecopy.agents.calls import INVALID, NOT_GRANTED, Refused
from onecopy.agents.grants.http.http import Http
from onecopy.agents.grants.tools.tool import Tool
from onecopy.agents.manifest import places
from onecopy.agents.manifest.url import Url
from onecopy.errors import InvalidArgument

if TYPE_CHECKING:
    from onecopy.agents.event import Event
    from onecopy.agents.grants.http.client import Client
    from onecopy.agents.manifest.tool_grant import ToolGrant, ToolRequest
    from onecopy.agents.secrets import Secrets

_JSON: Final = [["content-type", "application/json"]]
# The request has an end of its own, which says more.
_LONGER: Final = 5.0


class RequestTool:
    """Makes requests of a model's arguments; its schema is compiled once, for all runs.

        tool = RequestTool(grant, request).bind(event, client, secrets)

    Args:
        grant: of the manifest.
        request: the grant's.

    Raises:
        InvalidArgument: its parameters are no JSON Schema.
    """

    def __init__(self, grant: ToolGrant, request: ToolRequest) -> None:
        self._name = grant.name
        self._request = request
        self._grants = (request.grant,)
        seconds = request.timeout + _LONGER
        try:
            schema = grant.parameters.schema
            self._tool = Tool(grant.name, grant.description, schema, self._send, seconds)
        except InvalidArgument as error:
            raise InvalidArgument(f"the tool {grant.name!r} of agent.toml: {error}") from None

    def bind(self, event: Event, client: Client, secrets: Secrets) -> Tool:
        """Return the tool for one event."""
        # Its own grant only: it reaches what the agent itself may not, and nothing besides.
        http = Http(self._grants, event, client, secrets, follow=False)
        return self._tool.bound(partial(self._send, http, event.fields))

    async def _send(self, http: Http, fields: Mapping[str, str], /, **arguments: Any) -> str:
        """Make the request; the answer is its status, an empty line, and its body."""
        if missing := self._request.fields - fields.keys():
            raise Refused(
                NOT_GRANTED,
                f"{self._name} is bound to the field {min(missing)!r}, which this event has not; "
                "add it to the fields of its trigger in agent.toml",
            )
        try:
            asked = self._written(fields, arguments)
        except ValueError as error:
            raise Refused(INVALID, f"the arguments of {self._name}: {error}") from None
        answer = await http.call("send", [asked])
        return f"HTTP {answer['status']}\n\n{answer['body']}"

    def _written(self, fields: Mapping[str, str], given: Mapping[str, Any]) -> dict[str, Any]:
        """Fill the places; `Http` then checks the URL as if a guest had written it."""
        request = self._request
        words = {name: _word(given[name]) for name in request.path.places}
        segments = request.path.fill(fields, words)
        query = places.fill(request.query, fields, given)
        pairs = tuple((name, _word(each)) for name, each in query.items() if each is not None)
        url = Url(request.origin, segments, request.path.slash, pairs)
        asked: dict[str, Any] = {"method": request.method, "url": str(url)}
        if request.body is not None:
            body = places.fill(request.body, fields, given)
            asked |= {"headers": _JSON, "body": msgspec.json.encode(body).decode()}
        return asked


def _word(value: Any) -> str:
    """Write a value as a part of a URL: a text as it is, others as JSON."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
