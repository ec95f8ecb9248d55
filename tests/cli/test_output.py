"""What is printed."""

from __future__ import annotations

import pytest

from onecopy.cli.output import format_duration, printable, show_table


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0 s"), (0.4, "0 s"), (59, "59 s"), (60, "1 min"), (3600, "1 h"), (200_000, "2 d")],
)
def test_durations_are_written_in_their_largest_unit(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


def test_what_would_steer_the_terminal_is_escaped() -> None:
    assert printable("a\x1b[31mb\nc") == "a\\x1b[31mb\\nc"
    assert printable("größe/模型 [red]") == "größe/模型 [red]"


def test_in_a_pipe_nothing_is_cut_or_wrapped(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(("name", "size"), [("n" * 255, "1 B"), ("[bold]x[/bold]", ":smile:")], ("size",))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[1].startswith("n" * 255)
    assert lines[2].startswith("[bold]x[/bold]")
    assert lines[2].endswith(":smile:")
