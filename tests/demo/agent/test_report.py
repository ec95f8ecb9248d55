"""What the demo of the code-review bot shows."""

from __future__ import annotations

import io

from rich.console import Console

from onecopy.agents.event import Event
from onecopy.agents.records.run import STEP, Item, Run, Summary
from onecopy.demo.agent.example import Change
from onecopy.demo.agent.outcome import LineComment, Outcome
from onecopy.demo.agent.report import show_report
from onecopy.demo.check import Check

FIRST = """## Code review 🟠 medium risk

It adds a reader.

### Findings (1)

#### `a.py`

- 🟠 line 3: **It is never closed** Use a with statement.

<sub>Reviewed 1 file at `1111111`.</sub>

<!-- onecopy:code-review:c2VjcmV0 -->"""
SECOND = FIRST.replace("### Findings", "### New since then\n\n- `2222222` More.\n\n### Findings")


def run(*steps: tuple[str, float]) -> Run:
    """A run from 1000 to 1002 with steps that begin at times."""
    items = [Item(n, STEP, 1000 + at, 0, name, "", 0) for n, (name, at) in enumerate(steps, 1)]
    summary = Summary("r", "e", "bot", "webhook", "pull_request.opened", "s", 1, 1000, 1002, "ok",
                      14, 1281, 235, 0.0)  # fmt: skip
    event = Event("e", "webhook", "pull_request.opened", "s", {}, {})
    return Run(summary, event, "", b"", 0, [], items, None, "")


def shown(**fields: object) -> str:
    outcome = Outcome(Change("Add a reader", "0" * 40, "1" * 40, "2" * 40), first=FIRST,
                      second=SECOND, answer="202 duplicate")  # fmt: skip
    for name, value in fields.items():
        setattr(outcome, name, value)
    output = io.StringIO()
    show_report(Console(file=output, width=100), outcome)
    return output.getvalue()


def test_the_comment_is_shown_as_it_is_rendered_with_titles_on_lines_of_their_own() -> None:
    lines = [line.strip("│ ") for line in shown().splitlines()]
    at = lines.index("• 🟠 line 3: It is never closed")
    assert lines[at + 1] == "Use a with statement."
    assert not any("<" in line or "**" in line or "secret" in line for line in lines)


def test_of_the_updated_comment_what_is_new_is_shown() -> None:
    text = shown()
    before, _, after = text.partition("3. A commit is pushed: 2222222")
    assert "1. A pull request is opened: 1111111 Add a reader" in before
    assert "2. GitHub sends the same delivery again: 202 duplicate" in before
    assert "New since then" in after
    assert before.count("It is never closed") == 1
    assert "It is never closed" not in after


def test_the_timeline_says_when_a_step_began_and_how_long_it_took() -> None:
    text = shown(runs=[run(("files", 0.5), ("review 1/1", 1.0))])
    rows = {line.split("  ")[1].strip(): line.split() for line in text.splitlines() if "━" in line}
    assert rows["files"][1:5] == ["500", "ms", "500", "ms"]
    assert rows["review 1/1"][2:6] == ["1000", "ms", "1000", "ms"]
    assert len(rows["review 1/1"][6]) == 2 * len(rows["files"][5])
    assert "1,281 tokens asked, 235 answered; 0.0000 USD" in " ".join(text.split())


def test_comments_on_lines_are_shown_with_the_line() -> None:
    comment = LineComment("a.py", 3, "  open(path)", "🟠 **Never closed**\n\nUse with.", "1" * 40)
    text = shown(lines=[comment], labels=["risk-medium"])
    assert "Label: risk-medium. Comments on lines: 1" in text
    assert "🟠 Never closed\n    a.py:3 at 1111111\n      open(path)" in text


def test_it_says_how_the_change_was_chosen() -> None:
    assert "Of 13 commits that it read it finds most in these two" in " ".join(
        shown(read=13).split()
    )
    assert "nothing in any" in " ".join(shown(read=13, found=False).split())
    assert "that it read" not in shown()


def test_checks_are_shown_and_what_comes_next() -> None:
    text = shown(checks=[Check("it holds", True), Check("it does not", False, "why [not]")])
    assert "ok      it holds" in text
    assert "FAILED  it does not: why [not]" in text
    assert "onecopy agent init code-review" in text
