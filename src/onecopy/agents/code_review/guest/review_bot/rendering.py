"""The comment as Markdown: all text of models and diffs goes through `markdown` first."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from review_bot.comment import MAX_LENGTH, with_anchor, with_state
from review_bot.markdown import block, code, plain
from review_bot.review import ranked
from review_bot.schemas import LEVELS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from review_bot.review import Finding, State

_SIGNS = {"high": "🔴", "medium": "🟠", "low": "🟡"}
_MOST_FILES = 50
_TOO_LONG = "What the model wrote is too long for a comment."


@dataclass(frozen=True)
class Shown:
    """What is shown beside the review itself."""

    since: str = ""
    """The head before, of an increment."""
    skipped: Mapping[str, str] = field(default_factory=dict)
    """Why a file was not reviewed, by path."""
    reviewed: int = 0
    unlisted: int = 0
    """Files that GitHub has, and the bot did not ask for."""
    outdated: int = 0
    """Findings of before whose lines are gone."""


def comment(state: State, shown: Shown) -> str:
    """Write the bot's comment; of too many findings the least are left out."""
    findings = ranked(state.review.findings)
    for kept in (len(findings), 100, 50, 25, 10, 0):
        body = _body(state, findings[:kept], len(findings), shown)
        if len(body) <= MAX_LENGTH:
            return body
    # GitHub would refuse it, and a diff may tell a model to write at length.
    brief = replace(state.review, summary=_TOO_LONG, changes=(), risks=())
    return _body(replace(state, review=brief, news=()), [], len(findings), shown)


def _body(state: State, findings: list[Finding], count: int, shown: Shown) -> str:
    text = "\n\n".join(_sections(state, findings, count, shown))
    return with_state(text, _storable(state, findings).to_json())


def _storable(state: State, findings: list[Finding]) -> State:
    return replace(state, review=replace(state.review, findings=tuple(findings)))


def _sections(state: State, findings: list[Finding], count: int, shown: Shown) -> Iterator[str]:
    review = state.review
    yield f"## Code review {_SIGNS[review.risk]} {review.risk} risk"
    yield plain(review.summary, 3000) or "There was nothing to review."
    if state.news:
        yield "### New since then\n\n" + _list(
            f"{code(head[:7])} {plain(text, 1000)}" for head, text in state.news
        )
    if review.changes:
        yield "### Major changes\n\n" + _list(plain(each, 500) for each in review.changes[:10])
    if review.risks:
        yield "### Hidden risks\n\n" + _list(plain(each, 500) for each in review.risks[:10])
    yield from _findings(findings, count)
    yield from _not_reviewed(shown)
    yield _foot(state, shown)


def _list(lines: Iterable[str]) -> str:
    return "\n".join(f"- {each}" for each in lines if each)


def _findings(findings: list[Finding], count: int) -> Iterator[str]:
    if not count:
        yield "### Findings\n\nNone."
        return
    yield f"### Findings ({count})"
    paths = list(dict.fromkeys(each.path for each in findings))
    for path in paths:
        told = (_finding(each) for each in findings if each.path == path)
        yield f"#### {code(path)}\n\n" + "\n".join(told)
    if count > len(findings):
        yield f"… and {count - len(findings)} more of lower severity."


def _finding(each: Finding) -> str:
    side = " (removed)" if each.side == "LEFT" and each.line else ""
    place = f" line {each.line}{side}:" if each.line else ""
    return (
        f"- {_SIGNS[each.severity]}{place} **{plain(each.title, 200)}** {plain(each.detail, 1500)}"
    )


def _not_reviewed(shown: Shown) -> Iterator[str]:
    if not shown.skipped and not shown.unlisted:
        return
    count = len(shown.skipped) + shown.unlisted
    listed = list(shown.skipped.items())[:_MOST_FILES]
    lines = [f"{code(path)}: {why}" for path, why in listed]
    if count > len(listed):
        lines.append(f"… and {count - len(listed)} more")
    summary = f"Not reviewed: {_files(count)}"
    yield f"<details><summary>{summary}</summary>\n\n{_list(lines)}\n\n</details>"


def _foot(state: State, shown: Shown) -> str:
    since = f", what is new since {code(shown.since[:7])}" if shown.since else ""
    gone = f" Earlier findings that no longer apply: {shown.outdated}." if shown.outdated else ""
    return f"<sub>Reviewed {_files(shown.reviewed)} at {code(state.head[:7])}{since}.{gone}</sub>"


def _files(count: int) -> str:
    return f"{count} {'file' if count == 1 else 'files'}"


def line_comment(each: Finding) -> str:
    """Write a comment on a line.

    A suggestion is shown as code, not as GitHub's `suggestion`, which one click would commit.
    """
    parts = [f"{_SIGNS[each.severity]} **{plain(each.title, 200)}**", plain(each.detail, 3000)]
    if each.suggestion.strip():
        parts.append(block(each.suggestion))
    return with_anchor("\n\n".join(parts), each.anchor)


def worth_a_comment(findings: Iterable[Finding], least: str, most: int) -> list[Finding]:
    """Choose the findings that get a comment on their line: one a line, worst first."""
    wanted = LEVELS[LEVELS.index(least) :]
    chosen: dict[tuple[str, str, int], Finding] = {}
    for each in ranked(findings):
        if each.anchor and each.severity in wanted:
            chosen.setdefault((each.path, each.side, each.line), each)
    return list(chosen.values())[:most]
