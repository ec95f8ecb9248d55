"""The scripts of `guest test`."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onecopy.cli.guests_script import (
    CHECKS,
    Check,
    Line,
    Word,
    parse_check,
    parse_line,
    read_script,
    show_piece,
)
from onecopy.errors import InvalidArgument


def test_a_script_is_read_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "script.txt"
    path.write_text(
        '# a comment\n\n=> allows "a" 7; forbids eos\n"a; => b" => stop\n'
        '[1, "x"]\n  rollback 3\nchosen => count 2\n'
    )
    assert read_script(path) == [
        Line(3, checks=(Check("allows", ("a", 7)), Check("forbids", (Word("eos"),)))),
        Line(4, ("a; => b",), checks=(Check("stop", ()),)),
        Line(5, (1, "x"), at_once=True),
        Line(6, rollback=3),
        Line(7, (Word("chosen"),), checks=(Check("count", (2,)),)),
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "neither a text in quotes nor a number"),
        ('"a', "neither a text in quotes nor a number"),
        ("hello", "put it in quotes"),
        ('"a" "b"', "stands one text"),
        ("rollback", "put it in quotes"),
        ("rollback 0", "stands one text"),
        ("true", "put it in quotes"),
        ("[true]", "neither a text nor a token"),
        ("=> ", "a check begins with"),
        ('=> "a"', "a check begins with"),
        ("=> allow 1", "there are allows"),
        ("=> allows", "there are allows"),
        ("=> allows 1.5", "there are allows"),
        ("=> stop 1", "there are allows"),
        ("=> bias 1", "there are allows"),
        ("=> count x", "put it in quotes"),
        ("=> stop => stop", "one => comes first"),
        ("1; stop", "one => comes first"),
    ],
)
def test_a_line_that_means_nothing_is_named(text: str, problem: str) -> None:
    with pytest.raises(InvalidArgument, match=r"script\.txt, line 9: ") as caught:
        parse_line(text, 9, "script.txt")
    assert problem in str(caught.value)


def test_a_check_of_the_command_line_is_one_check() -> None:
    assert parse_check('bias "a" -1.5') == Check("bias", ("a", -1.5))
    with pytest.raises(InvalidArgument, match="--expect"):
        parse_check("stop; stop")


PIECES = st.one_of(st.text(), st.integers(0, 1 << 20), st.sampled_from([Word("eos")]))


@given(PIECES, st.lists(PIECES, min_size=1))
def test_what_is_shown_can_be_read_again(fed: str | int, wanted: list[str | int]) -> None:
    check = Check("allows", tuple(wanted))
    line = parse_line(f"{show_piece(fed)} => {check}; stop")
    assert line == Line(1, (fed,), checks=(check, Check("stop", ())))


@given(st.text())
def test_any_line_is_read_or_refused(text: str) -> None:
    try:
        line = parse_line(text)
    except InvalidArgument:
        return
    assert all(check.word in CHECKS for check in line.checks)
