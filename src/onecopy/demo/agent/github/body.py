"""What a request brings, checked as GitHub checks it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from aiohttp import web

LONGEST: Final = 65536
"""Characters of a comment."""


class Invalid(Exception):
    """A request that GitHub answers with 422."""


async def given(request: web.Request, of_list: str = "") -> dict[str, Any]:
    """Return the body of a request, an object; a list stands for one with it as `of_list`.

    Raises:
        Invalid: it is neither.
    """
    try:
        found = msgspec.json.decode(await request.read())
    except msgspec.DecodeError:
        raise Invalid("Problems parsing JSON") from None
    if of_list and isinstance(found, list):
        return {of_list: found}
    if not isinstance(found, dict):
        raise Invalid("Body should be a JSON object")
    return found


def text_of(found: dict[str, Any]) -> str:
    """Return the text of a comment that is to be written.

    Raises:
        Invalid: there is none, or it is too long.
    """
    text = found.get("body")
    if not isinstance(text, str) or not text.strip():
        raise Invalid("body can't be blank")
    if len(text) > LONGEST:
        raise Invalid(f"body is too long (maximum is {LONGEST} characters)")
    return text
