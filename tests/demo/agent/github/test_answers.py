"""Lists come page by page, with links to the others."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request

from onecopy.demo.agent.github.answers import error, page

WHERE = "/repos/octo-org/demo/pulls/1/files"


def asked(query: str, count: int = 150) -> tuple[Any, str]:
    """What stands on a page, and the links to others."""
    request = make_mocked_request("GET", f"{WHERE}{query}")
    response = page(request, list(range(count)), "http://api")
    assert isinstance(response.body, bytes)
    return json.loads(response.body), response.headers.get("Link", "")


@pytest.mark.parametrize(
    ("query", "first", "count", "links"),
    [
        ("", 0, 30, {"next": 2, "last": 5}),
        ("?per_page=50&page=2", 50, 50, {"prev": 1, "next": 3, "last": 3, "first": 1}),
        ("?per_page=50&page=3", 100, 50, {"prev": 2, "first": 1}),
        ("?per_page=1000", 0, 100, {"next": 2, "last": 2}),
        ("?per_page=none&page=-1", 0, 30, {"next": 2, "last": 5}),
    ],
)
def test_links_name_the_other_pages(
    query: str, first: int, count: int, links: dict[str, int]
) -> None:
    values, link = asked(query)
    assert values == list(range(first, first + count))
    assert {rel: int(at) for at, rel in re.findall(r'[&]page=(\d+)>; rel="(\w+)"', link)} == links
    assert "http://api/repositories/1/pulls/1/files?per_page=" in link


def test_one_page_needs_no_links() -> None:
    assert asked("", 30) == (list(range(30)), "")
    assert asked("", 0) == ([], "")


def test_an_error_says_where_to_read_on() -> None:
    response = error(403, "No", {"Retry-After": "60"}, errors=[])
    assert isinstance(response.body, bytes)
    assert json.loads(response.body) == {
        "message": "No",
        "errors": [],
        "documentation_url": "https://docs.github.com/rest",
        "status": "403",
    }
    assert (response.status, response.headers["Retry-After"]) == (403, "60")
