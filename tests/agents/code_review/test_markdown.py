"""Sanitised text shows itself, and nothing in it acts on GitHub."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from review_bot.markdown import block, code, plain

HARMLESS = {"paragraph_open", "paragraph_close", "inline", "text", "code_inline", "text_special"}
WORDS = """\
@ada #1 GH-12 o/r#3 [x](https://e.test) ![x](http://e.test/i.png) <b> <!-- --> ` `` ``` a
https://e.test/ www.e.test * _ ~~ | $ # - 1. > \\ &lt; &#64; <https://e.test> [a]: /b :smile:
ada@e.test mailto:a@e.test === --- """
BLANKS = [" ", "\n", "\n\n", "\t", "\r", "\ud800", "\x00", "\u202e"]
PIECES = st.sampled_from([*WORDS.split(), *BLANKS])
TEXT = st.one_of(st.text(max_size=80), st.lists(PIECES, max_size=12).map("".join))


def kinds(text: str) -> set[str]:
    found = set()
    for token in MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text):
        found |= {token.type, *(each.type for each in token.children or ())}
    return found


def prose(text: str) -> str:
    """All that is no code, as GitHub sees it: entities decoded."""
    import html

    shown = MarkdownIt("commonmark").render(text)
    return html.unescape(re.sub(r"<[^>]*>", "", re.sub(r"<code>.*?</code>", "", shown, flags=re.S)))


@given(TEXT)
@example("`@ada` @ada ``@bob` `")
@example("a `b` <!-- onecopy:code-review: -->")
def test_a_line_has_no_structure_but_code(text):
    line = plain(text)
    line.encode()
    assert "\n" not in line
    assert "<!--" not in line
    assert kinds(f"x {line}") <= HARMLESS


@given(TEXT)
@example("1. a")
@example("/approve")
def test_a_line_begins_with_no_list_and_no_command(text):
    assert kinds(plain(text)) <= HARMLESS
    assert not plain(text).startswith("/")
    assert all(line.startswith("  ") for line in block(text).split("\n"))


@given(TEXT)
def test_a_line_mentions_nobody_and_refers_to_nothing(text):
    shown = prose(f"x {plain(text)}")
    assert not re.search(r"@\w|#\d|(?i:\bGH-\d)|\w://|(?i:www\.)\w|mailto:\w", shown)


@given(TEXT)
def test_code_is_one_span(text):
    span = code(text)
    assert kinds(f"x {span} y") <= HARMLESS
    assert "<!--" not in span
    assert (
        span == "" or MarkdownIt().parseInline(f"x {span} y")[0].children[1].type == "code_inline"
    )


@given(TEXT)
def test_a_block_ends_where_it_ends(text):
    assert kinds(f"{block(text)}\n\nafter") <= HARMLESS | {"fence"}
    [fence] = MarkdownIt().parse(block(text))
    assert fence.type == "fence"
    if not set(text) & set("\r\t") and text.isprintable() and "<!--" not in text:
        assert fence.content == text + "\n"
    assert "<!--" not in block(text)


@pytest.mark.parametrize("text", ["if a < b and c > d: x[0] = *p", "50 % of 3 $ & more", "a_b_c"])
def test_text_is_shown_as_it_is(text):
    assert prose(plain(text)).strip() == text


def test_long_text_is_cut():
    assert len(plain("x" * 5000, 100)) == 100
