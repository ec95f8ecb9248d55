"""What the demo of planned runs shows."""

from __future__ import annotations

import io

from rich.console import Console

from onecopy.demo.check import Check
from onecopy.demo.plan.report import show_report
from onecopy.demo.plan.story import Context, Outcome, Run
from onecopy.planner import plan
from tests.demo.plan.models import small


def shown(*checks: Check) -> str:
    subject = small()
    made = plan(subject.module, subject.args, dynamic_shapes=subject.dynamic_shapes(3, 24))
    outcome = Outcome(
        subject,
        made,
        1.25,
        eager=[Run(3000, 10), Run(1000, 20)],
        planned=[Run(2048, 1), Run(2048, 1)],
        lower_bound=2000,
        contexts=[Context(8192, 1234)],
        certified=Context(16384, 2000, 16000),
        checks=list(checks),
    )
    output = io.StringIO()
    show_report(Console(file=output, width=100), [outcome])
    return output.getvalue()


def test_it_has_the_largest_peaks_and_the_mean_of_allocations() -> None:
    rows = {line.split("│")[1].strip(): line for line in shown().splitlines() if "│" in line}
    assert rows["peak memory"].replace("│", "").split()[2:] == [
        "2.93", "KiB", "2", "KiB", "1.95", "KiB",
    ]  # fmt: skip
    assert rows["allocations a run"].replace("│", "").split()[3:] == ["15", "1"]


def test_contexts_say_whether_they_were_measured() -> None:
    lines = [" ".join(line.replace("│", "").split()) for line in shown().splitlines()]
    assert "8 KiB 1,234 formula" in lines
    assert "16 KiB 2,000 measuring 15.6 KiB" in lines


def test_checks_show_whether_they_held_and_what_was_seen_instead() -> None:
    text = shown(Check("it holds", True), Check("it does not", False, "3 are not"))
    assert "ok      it holds" in " ".join(text.split(" ")).replace("  ok", "ok")
    assert "3 are not" in text
