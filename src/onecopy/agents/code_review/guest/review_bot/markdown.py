"""Text of a model or of a diff, made harmless for a comment on GitHub.

What comes out has no structure but code spans: no links, images, HTML, mentions, or references to
issues, which would notify people or reach out of the comment when it is shown.
"""

from __future__ import annotations

import re
import textwrap
import unicodedata

_APART = "\u200b"
"""A space without width: GitHub then sees no mention, reference or address."""
_CODE = re.compile(r"`([^`\n]+)`")
_ACTIVE = re.compile(r"[\\`*_{}\[\]#!|~$>^=+-]")
_ADDRESS = re.compile(r"(?<=[A-Za-z0-9]):(?=//)|(?i:(?<=www)\.)|(?i:(?<=mailto):)|(?i:(?<=xmpp):)")
_REFERENCE = re.compile(r"[@#]|(?i:\bGH)(?=-)")
_BEGINNING = re.compile(r"^(\d{1,9}(?=[.)])|(?=/))")
"""Of a line: a list's number, or a command to some other bot."""
_LINES = re.compile(r"[^\S ]+|\s{2,}")


def plain(text: str, limit: int = 2000) -> str:
    """Return text as one line of Markdown that shows exactly this text; `code` stays code."""
    line = _cut(_LINES.sub(" ", _visible(text)).strip(), limit)
    parts = _CODE.split(line)
    shown = "".join(code(each) if odd % 2 else _prose(each) for odd, each in enumerate(parts))
    return _BEGINNING.sub(lambda match: match[0] + "\\", shown)


def code(text: str, limit: int = 300) -> str:
    """Return text as a code span, such as a path."""
    line = _cut(_LINES.sub(" ", _visible(text)).strip(), limit).replace("`", "'")
    return f"`{_no_comment(line)}`" if line.strip() else ""


def block(text: str, language: str = "", limit: int = 4000) -> str:
    """Return text as a block of code that nothing in it can end."""
    kept = _no_comment(_cut(_visible(text), limit))
    longest = max((len(each) for each in re.findall(r"`+", kept)), default=0)
    fence = "`" * max(3, longest + 1)
    # Markdown takes the indentation off again; to other bots no line begins with a command.
    return textwrap.indent(f"{fence}{language}\n{kept}\n{fence}", "  ", lambda _: True)


def _prose(text: str) -> str:
    text = _ADDRESS.sub(lambda match: match[0] + _APART, text)
    text = _REFERENCE.sub(lambda match: match[0] + _APART, text)
    text = text.replace("&", "&amp;").replace("<", "&lt;")
    return _ACTIVE.sub(lambda match: "\\" + match[0], text)


def _visible(text: str) -> str:
    """Drop what steers a terminal or the direction of text, and what no UTF-8 can have."""
    kept = "".join(
        each
        for each in text
        if each in "\n\t" or unicodedata.category(each) not in ("Cc", "Cf", "Cs")
    )
    return kept.replace("\t", "    ")


def _no_comment(text: str) -> str:
    """No text in a comment looks like the marker that the bot finds its comments by."""
    return text.replace("<!--", "<! --")


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
