"""Answers as GitHub's API gives them: values, errors, and lists page by page."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec
from aiohttp import web

if TYPE_CHECKING:
    from multidict import MultiMapping

_DOCS: Final = "https://docs.github.com/rest"
_PER_PAGE: Final = 30
_MOST: Final = 100


def answer(value: Any, status: int = 200) -> web.Response:
    """Return a value as JSON."""
    response = web.Response(status=status, body=msgspec.json.encode(value))
    response.content_type = "application/json"
    response.charset = "utf-8"
    return response


def error(
    status: int, message: str, headers: Mapping[str, str] | None = None, **more: Any
) -> web.Response:
    """Return an error; `more` are further fields of it."""
    what = {"message": message, **more, "documentation_url": _DOCS, "status": str(status)}
    response = answer(what, status)
    response.headers.update(headers or {})
    return response


def page(request: web.Request, values: Sequence[Any], api: str) -> web.Response:
    """Return the page that is asked for, with links to others in the header `Link` (RFC 8288).

    `api` is the address of the server.
    """
    size = min(_MOST, max(1, _number(request.query, "per_page", _PER_PAGE)))
    number = max(1, _number(request.query, "page", 1))
    response = answer(values[(number - 1) * size : number * size])
    last = -(-len(values) // size)
    if last > 1:
        # As GitHub does: by the number of the repository, and not by its name.
        tail = re.sub(r"^/(repos/[^/]+/[^/]+|repositories/1)", "", request.path)
        base = f"{api}/repositories/1{tail}?per_page={size}"
        response.headers["Link"] = _links(base, number, last)
    return response


def _links(base: str, number: int, last: int) -> str:
    pages = {"prev": number - 1, "next": number + 1, "last": last, "first": 1}
    shown = ("next", "last") if number == 1 else ("prev", "first") if number >= last else pages
    return ", ".join(f'<{base}&page={pages[rel]}>; rel="{rel}"' for rel in shown)


def _number(query: MultiMapping[str], name: str, default: int) -> int:
    text = query.get(name)
    return int(text) if text and text.isascii() and text.isdigit() else default
