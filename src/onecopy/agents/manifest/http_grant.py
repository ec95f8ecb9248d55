"""Requests that a manifest grants: to paths of one origin, with one method."""

from __future__ import annotations

import re
from typing import Final, Literal, get_args

import msgspec

from onecopy.agents.manifest.origin import Origin
from onecopy.agents.manifest.path_template import PathTemplate
from onecopy.agents.manifest.quantities import Duration, Size, plain
from onecopy.agents.manifest.wrong import Wrong
from onecopy.agents.secrets import HeaderValue

Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
METHODS: Final[tuple[str, ...]] = get_args(Method)
BODILESS: Final = ("GET", "HEAD", "OPTIONS")

_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}", re.ASCII)
_QUERY: Final = re.compile(r"[A-Za-z0-9_.\[\]-]{1,64}", re.ASCII)
# Who frames the message, or whom it is for, is not for a manifest to say (RFC 9110, 7.6.1).
_FRAMING = """
    host content-length transfer-encoding connection keep-alive te trailer upgrade expect
    proxy-connection proxy-authorization proxy-authenticate accept-encoding
"""
FRAMING: Final = frozenset(_FRAMING.split())
_CREDENTIALS = ("authorization", "cookie")
# Credentials are added by the host; the others make a server see another request than was checked.
_GUESTS_NEVER = """
    authorization cookie cookie2 forwarded x-forwarded-for x-forwarded-host x-forwarded-proto
    x-real-ip x-http-method-override x-http-method x-method-override x-original-url x-rewrite-url
    x-original-host x-host
"""
UNSENT: Final = FRAMING | frozenset(_GUESTS_NEVER.split())


class HttpRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all requests have that a manifest speaks of."""

    origin: Origin
    method: Method
    path: PathTemplate
    headers: dict[str, HeaderValue] = {}
    """Added by the host; the guest never sees them."""
    private: bool = False
    """Whether the origin may be at a loopback or private address."""
    max_request: Size = Size(1 << 20)
    max_response: Size = Size(4 << 20)
    timeout: Duration = Duration(30)
    """Seconds for a whole exchange, its redirects included."""

    def __post_init__(self) -> None:
        plain(self)
        if self.origin.scheme == "http" and not self.private:
            raise Wrong("origin", "write https://, or private = true for an address at home")
        check_headers("headers", list(self.headers), FRAMING)
        for name, value in self.headers.items():
            if name.lower() in _CREDENTIALS and not value.secrets:
                raise Wrong("headers", f'{name} is a secret: name it, as "Bearer env:NAME"')
        if self.path.endswith("...}/"):
            raise Wrong("path", "{name...} is the end of a path; leave out the / behind it")


class HttpGrant(HttpRule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[[grants.http]]`: requests with one method to paths of one origin."""

    query: tuple[str, ...] = ()
    """Names that a query may have, each once."""
    guest_headers: tuple[str, ...] = ()
    """Headers that the guest may send beside the usual ones."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_query(self.query)
        check_headers("guest_headers", list(self.guest_headers), UNSENT)

    @property
    def line(self) -> str:
        """The grant as a manifest has it, on one line."""
        line = f'[[grants.http]] origin = "{self.origin}", method = "{self.method}", '
        return line + f'path = "{self.path}"'


def check_query(names: tuple[str, ...]) -> None:
    """Refuse what is no name of a parameter."""
    for name in names:
        if not _QUERY.fullmatch(name):
            raise Wrong("query", f"{name!r} is no name of a parameter")


def check_headers(key: str, names: list[str], refused: frozenset[str]) -> None:
    """Refuse headers that a manifest cannot set, or has twice."""
    for name in names:
        if not _TOKEN.fullmatch(name) or name.lower() in refused:
            raise Wrong(key, f"{name!r} is no header that can be set")
    if len({name.lower() for name in names}) < len(names):
        raise Wrong(key, "a header is there twice")
