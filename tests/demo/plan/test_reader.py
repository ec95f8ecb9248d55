"""Another process reads a planned output."""

from __future__ import annotations

from onecopy.demo.plan import reader
from onecopy.demo.plan.reader import output_seen_elsewhere
from onecopy.planner import plan
from tests.demo.plan.models import small


def _made():
    subject = small()
    return plan(subject.module, subject.args, dynamic_shapes=subject.dynamic_shapes(4, 32))


def test_it_reads_what_was_made_here_without_a_copy() -> None:
    check = output_seen_elsewhere(_made())
    assert check.held, check.trouble


def test_what_it_cannot_read_is_the_trouble(monkeypatch) -> None:
    monkeypatch.setattr(reader, "_READ", "raise SystemExit('no such module')")
    check = output_seen_elsewhere(_made())
    assert not check.held
    assert "it read no such module instead of (2, 16, 16)" in check.trouble
