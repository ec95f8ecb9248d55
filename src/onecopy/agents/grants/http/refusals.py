"""Texts that say which line of the manifest would allow a request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from onecopy.agents.manifest.http_grant import METHODS, HttpGrant
from onecopy.agents.manifest.path_template import suggest
from onecopy.agents.manifest.url import Url

_SHOWN = 300


def not_granted(
    grants: Sequence[HttpGrant], method: str, url: Url, fields: Mapping[str, str]
) -> str:
    """Say what a request lacks: a parameter of the query, or a whole grant."""
    if method not in METHODS:
        return f"there are the methods {', '.join(METHODS)}, in capitals, and not {method[:16]!a}"
    what = f"{method} {url.origin}{url.path}"[:_SHOWN]
    names = [name for name, _ in url.query]
    if len(set(names)) < len(names):
        return f"{what}: a parameter of the query is there twice, which servers read differently"
    for grant in grants:
        here = (grant.method, grant.origin) == (method, url.origin)
        if here and grant.path.matches(url.segments, url.slash, fields):
            names = [*grant.query, *(name for name in names if name not in grant.query)]
            return (
                f"the query of {what} is not granted; write in agent.toml: {grant.line}, "
                f"query = {_list(names)}"
            )
    line = (
        f'[[grants.http]] origin = "{url.origin}", method = "{method}", '
        f'path = "{suggest(url.segments, url.slash, fields)}"'
    )
    if names:
        line += f", query = {_list(names)}"
    if url.origin.scheme == "http":
        line += ", private = true"
    return f"{what} is not granted; add to agent.toml: {line}"


def _list(names: Sequence[str]) -> str:
    return "[" + ", ".join(f'"{name}"' for name in names) + "]"
