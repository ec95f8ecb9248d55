"""What a change does, in the words of its own files: summary, changes and risks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from onecopy.demo.agent.changes import defined_by

if TYPE_CHECKING:
    from onecopy.demo.agent.changes import Change, File
    from onecopy.demo.agent.reviewer import Finding

LISTED: Final = 5
LARGE: Final = 400
"""Lines beyond which a change is no small risk, whatever is in it."""
QUOTED: Final = 100
"""Characters of a file's own that are shown where nothing is defined in it."""
_NAMES: Final = 6
_CARED: Final = {
    r"(^|/)(pyproject\.toml|setup\.(py|cfg)|requirements[^/]*\.txt|package\.json|Cargo\.toml|"
    r"go\.mod)$": "dependencies or the build change: others may get another set than was tested",
    r"\.sql$|(^|/)migrations?/": "the data base changes: what is stored already has to fit as well",
    r"(^|/)(\.github|\.gitlab|ci)/|Jenkinsfile|Dockerfile": "what builds and checks the project "
    "changes: a mistake here shows only when it runs",
    r"\.(proto|wit|graphql|avsc)$|openapi": "an interface changes: both sides have to be of one "
    "version",
}
_LEVELS: Final = ("low", "medium", "high")


def overview(change: Change, findings: Sequence[Finding]) -> dict[str, Any]:
    """Return `summary`, `changes`, `risks` and `risk` of a change."""
    return {
        "summary": _summary(change, findings),
        "changes": [_told(file) for file in _largest(change.files)[:LISTED]],
        "risks": list(dict.fromkeys(_risks(change, findings)))[:LISTED],
        "risk": _risk(change, findings),
    }


def merged(reviews: Sequence[Any]) -> dict[str, Any]:
    """Return the overview of a change whose parts were reviewed, from their JSON."""
    parts = [each for each in reviews if isinstance(each, dict)]
    findings = [text for each in parts for text in _texts(each, "findings")]
    levels = [_LEVELS.index(found[0]) for each in findings if (found := _level(each))]
    top = _LEVELS[max(levels, default=0)]
    summaries = " ".join(str(each.get("summary", "")).split(". ")[0] + "." for each in parts[:3])
    counted = f"{_count(len(findings), 'remark')}, the gravest {top}" if findings else "no remark"
    return {
        "summary": f"A large change, read in {_count(len(parts), 'part')}: {summaries} "
        f"There is {counted}.",
        "changes": _first(text for each in parts for text in _texts(each, "changes")),
        "risks": _first(text for each in parts for text in _texts(each, "risks")),
        "risk": top,
    }


def _texts(review: dict[str, Any], key: str) -> list[str]:
    found = review.get(key)
    return [str(each) for each in found] if isinstance(found, list) else []


def _level(text: str) -> re.Match[str] | None:
    return re.match("|".join(_LEVELS), text)


def _first(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))[:LISTED]


def _summary(change: Change, findings: Sequence[Finding]) -> str:
    added, removed = change.size
    names = _listed([file.path for file in _largest(change.files)], 3)
    title = f"“{change.title.rstrip('.')}” " if change.title else "The change "
    parts = [
        f"{title}touches {_count(len(change.files), 'file')} with {_count(added, 'line')} added "
        f"and {removed} removed, most of all {names}."
    ]
    new = _new(change)
    if new:
        parts.append(f"It defines {_listed(new, _NAMES)}.")
    if findings:
        titles = _listed(list(dict.fromkeys(f.remark.title.lower() for f in findings)), 3)
        parts.append(f"Worth a look: {titles}.")
    return " ".join(parts)


def _new(change: Change) -> list[str]:
    """Return names that others may use, and that were not there before."""
    files = [file for file in _largest(change.files) if not file.is_test]
    old = {name for file in change.files for name in file.defined("-")}
    names = [name for file in files for name in file.defined("+") if not name.startswith("_")]
    return [name for name in dict.fromkeys(names) if name not in old]


def _told(file: File) -> str:
    """One sentence on one file."""
    new, old = file.defined("+"), file.defined("-")
    did = [
        f"was {file.was}" if file.was else "",
        _with("adds", [name for name in new if name not in old]),
        _with("changes the definition of", [name for name in new if name in old]),
        _with("removes", [name for name in old if name not in new]),
        _with("changes within", list(dict.fromkeys(_sections(file)))),
    ]
    told = "; ".join(filter(None, did)) or _quoted(file)
    size = f"+{len(file.of_kind('+'))} -{len(file.of_kind('-'))}"
    return f"{file.path} ({file.status}, {size})" + (f": {told}" if told else "")


def _quoted(file: File) -> str:
    """Return the longest sentence that is new in a file, or was there; a part of it."""
    lines = [line.text for line in file.of_kind("+") or file.of_kind("-")]
    texts = [text for line in lines if (text := line.strip(" \t#*->|/`")).count(" ") > 3]
    longest = max(texts, key=len, default="")
    cut = longest if len(longest) <= QUOTED else longest[:QUOTED].rpartition(" ")[0] + " …"
    return f"“{cut}”" if cut else ""


def _with(verb: str, names: list[str]) -> str:
    return f"{verb} {_listed(names, _NAMES)}" if names else ""


def _sections(file: File) -> Iterator[str]:
    for hunk in file.hunks:
        found = defined_by(hunk.section)
        if found:
            yield found


def _risks(change: Change, findings: Sequence[Finding]) -> Iterator[str]:
    yield from (each.remark.risk for each in findings if each.remark.risk)
    gone = [name for name in _gone(change) if not name.startswith(("_", "test"))]
    if gone:
        yield f"{_listed(gone, _NAMES)} {'is' if len(gone) == 1 else 'are'} gone, or elsewhere: "\
            "whoever uses it from outside of this change has to follow."  # fmt: skip
    for pattern, risk in _CARED.items():
        paths = [file.path for file in change.files if re.search(pattern, file.path)]
        if paths:
            yield f"{_listed(paths, 2)}: {risk}."
    code = [file for file in change.files if file.is_code and not file.is_test]
    if sum(len(file.of_kind("+")) for file in code) > 20 and len(code) == len(change.files):
        yield "No test changes with the code: what it does now is held by nothing new."


def _gone(change: Change) -> list[str]:
    new = {name for file in change.files for name in file.defined("+")}
    return [name for file in change.files for name in file.defined("-") if name not in new]


def _risk(change: Change, findings: Sequence[Finding]) -> str:
    found = [_LEVELS.index(each.remark.severity) for each in findings]
    return _LEVELS[max([int(sum(change.size) > LARGE), *found])]


def _largest(files: Sequence[File]) -> list[File]:
    return sorted(files, key=lambda f: (-len(f.of_kind("+")) - len(f.of_kind("-")), f.path))


def _listed(names: Sequence[str], most: int) -> str:
    shown = list(names[:most])
    more = len(names) - len(shown)
    if more:
        return f"{', '.join(shown)} and {more} more"
    return " and ".join(filter(None, [", ".join(shown[:-1]), *shown[-1:]]))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
