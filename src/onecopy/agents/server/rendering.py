"""From what happened to HTML: templates of pages/, in which every text is escaped."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

import jinja2
import msgspec

from onecopy.units import format_size

if TYPE_CHECKING:
    from onecopy.agents.records.run import Item, Summary

PAGES: Final = Path(__file__).parent / "pages"
_LONGEST: Final = 20_000
"""Characters of one text that a page has: a guest says how long they are, and a page is made while
webhooks wait. `onecopy agent runs` has all."""

_ALL: Final = 1 << 20
"""Characters of all its texts, about: it waits in memory until it is read, beside others."""
_LEAST: Final = 500


class Pages:
    """The templates, read once."""

    def __init__(self) -> None:
        self._environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(PAGES),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            auto_reload=False,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(
            clock=_clock,
            seconds=_seconds,
            json=_json,
            query=_query,
            size=format_size,
            cut=_cut,
        )

    def render(self, page: str, **values: Any) -> str:
        """Return the HTML of a page."""
        return self._environment.get_template(page).render(values)

    def item(self, item: Item, started: float) -> str:
        """Return the HTML of one thing that happened in a run."""
        module: Any = self._environment.get_template("parts.html").module
        return str(module.item(item, started))


def _clock(seconds: float) -> str:
    moment = datetime.fromtimestamp(seconds, timezone.utc)
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")


def _seconds(run: Summary) -> str:
    return f"{(run.ended or time.time()) - run.started:.2f}"


def most_of(count: int) -> int:
    """Return how many characters each of so many texts has on one page."""
    return max(_LEAST, min(_LONGEST, _ALL // max(count, 1)))


def _json(value: Any, most: int = _LONGEST) -> str:
    return _cut(msgspec.json.format(msgspec.json.encode(value), indent=2).decode(), most)


def _cut(text: str, most: int = _LONGEST) -> str:
    left_out = len(text) - most
    return f"{text[:most]} … and {left_out:,} characters more" if left_out > 0 else text


def _query(values: dict[str, str | None]) -> str:
    return urlencode({name: value for name, value in values.items() if value})
