"""Findings: what a model says about a diff, as far as the diff bears it out."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from onecopy_agent import schema

from review_bot.schemas import LEVELS, STATE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from review_bot.diff import FileDiff


_COMMIT = re.compile(r"[0-9a-f]{7,64}")


@dataclass(frozen=True)
class Finding:
    """One remark on a file, or on a line of it; `anchor` finds the line again when it moves."""

    path: str
    severity: str
    title: str
    detail: str
    suggestion: str = ""
    anchor: str = ""
    side: str = "RIGHT"
    line: int = 0
    """0 where it is on the file as a whole."""


@dataclass(frozen=True)
class Review:
    """What is said about a change, or about a part of one."""

    summary: str = ""
    changes: tuple[str, ...] = ()
    risks: tuple[str, ...] = ()
    risk: str = "low"
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class State:
    """What is kept of a review until the next one."""

    head: str
    review: Review = field(default_factory=Review)
    news: tuple[tuple[str, str], ...] = ()
    """Heads that were reviewed since, with what was new in them."""
    asked: int = 0
    """The comment that asked for it, of a review that was asked for."""

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)

    @classmethod
    def of(cls, given: Any) -> State | None:
        """Read it again; None where it is not what `to_json` has made."""
        if schema.mismatch(given, STATE) or not _COMMIT.fullmatch(given["head"]):
            return None
        told = given["review"]
        findings = tuple(Finding(**each) for each in told["findings"])
        texts = {name: tuple(told[name]) for name in ("changes", "risks")}
        news = tuple((each[0], each[1]) for each in given["news"] if len(each) == 2)
        return cls(
            given["head"], Review(**{**told, **texts, "findings": findings}), news, given["asked"]
        )


def accept(
    answer: Mapping[str, Any],
    shown: Mapping[str, FileDiff],
    files: Mapping[str, FileDiff],
    sides: Sequence[str] = ("RIGHT", "LEFT"),
) -> Review:
    """Make a review of a model's answer that fits `ANSWER`.

    A finding on a file that was not shown is dropped; one on a line that was not shown, or is not
    in the whole change (`files`), is one on the file. Of an increment only the right side counts:
    its removed lines are numbered as in the head before, which no comment can name.
    """
    found = [
        _finding(each, shown[each["path"]], files[each["path"]], sides)
        for each in answer["findings"]
        if each["path"] in shown
    ]
    return Review(
        answer["summary"],
        tuple(answer["changes"]),
        tuple(answer["risks"]),
        answer["risk"],
        tuple(each for each in found if each.title.strip()),
    )


def _finding(
    given: Mapping[str, Any], shown: FileDiff, file: FileDiff, sides: Sequence[str]
) -> Finding:
    place = given["side"], given["line"]
    texts = {name: given[name] for name in ("path", "severity", "title", "detail", "suggestion")}
    if place[0] in sides and place in shown.anchors and place in file.anchors:
        return Finding(**texts, anchor=file.anchors[place], side=place[0], line=place[1])
    return Finding(**texts)


def ranked(findings: Iterable[Finding]) -> list[Finding]:
    """Return them worst first, each line once for each title."""
    unique = {(each.path, each.anchor, each.title): each for each in findings}
    return sorted(
        unique.values(), key=lambda each: (-LEVELS.index(each.severity), each.path, each.line)
    )


def merged(parts: Sequence[Review], overview: Review) -> Review:
    """Return the findings of all parts under one overview."""
    findings = tuple(each for part in parts for each in part.findings)
    return replace(overview, findings=findings, risk=highest([overview, *parts]))


def highest(reviews: Iterable[Review]) -> str:
    """Return the highest risk of some reviews."""
    return max((each.risk for each in reviews), key=LEVELS.index, default="low")


def still_there(findings: Iterable[Finding], files: Mapping[str, FileDiff]) -> list[Finding]:
    """Return the findings whose lines the change still has, at where they are now."""
    kept = []
    for each in findings:
        file = files.get(each.path)
        if file is None:
            continue
        if not each.anchor:
            kept.append(each)
        elif each.anchor in file.places:
            side, line = file.places[each.anchor]
            kept.append(replace(each, side=side, line=line))
    return kept
