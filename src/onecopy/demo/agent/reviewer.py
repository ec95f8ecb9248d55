"""Reviews by embeddings: remarks are made where a line is near to one of their examples.

No text is generated: there is no model that could in this demo, which fetches nothing. A line is a
candidate where a remark's words stand in it; MiniLM then says whether it is nearer to what the
remark is about than to what only looks like it. The same change gets the same review.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from onecopy.demo.agent.remarks import Remark, all_remarks

if TYPE_CHECKING:
    import numpy as np

    from onecopy.agents.grants.memory.embedder import Embedder
    from onecopy.demo.agent.changes import Change, File, Hunk, Line

    Vector = np.ndarray[Any, np.dtype[np.float32]]

CANDIDATES: Final = 150
"""The most texts of a change that are embedded; those of graver remarks come first."""
EACH: Final = 2
"""How often a remark is made on a file."""
FINDINGS: Final = 15
LINE: Final = 200
"""Characters of a line that count."""
BEFORE: Final = 40
"""Lines around one that count."""
_CACHED: Final = 20_000
_LEVELS: Final = ("high", "medium", "low")


@dataclass(frozen=True)
class Candidate:
    """A line, and a remark that may apply to it."""

    remark: Remark
    path: str
    line: Line
    text: str
    """The line, or with the one that follows."""


@dataclass(frozen=True)
class Finding:
    """A remark on a line."""

    remark: Remark
    path: str
    line: Line
    score: float

    def to_json(self) -> dict[str, Any]:
        """Return it as the bot's schema has it."""
        return {
            "path": self.path,
            "line": self.line.number,
            "side": self.remark.side,
            "severity": self.remark.severity,
            "title": self.remark.title,
            "detail": self.remark.detail,
            "suggestion": "",
        }


class Reviewer:
    """Finds what remarks apply to a change.

        reviewer = Reviewer(embedder)
        findings = await reviewer.review(change)

    Args:
        embedder: makes vectors of lines and examples.
        remarks: what can be said.
    """

    def __init__(self, embedder: Embedder, remarks: Sequence[Remark] | None = None) -> None:
        self._embedder = embedder
        self._remarks = all_remarks() if remarks is None else tuple(remarks)
        self._vectors: OrderedDict[str, Vector] = OrderedDict()

    async def review(self, change: Change) -> list[Finding]:
        """Return what is found, the gravest first; of a line only that, and what fits best."""
        found = sorted(
            candidates(change, self._remarks), key=lambda each: _LEVELS.index(each.remark.severity)
        )
        texts = list(dict.fromkeys(each.text for each in found))[:CANDIDATES]
        known = set(texts)
        found = [each for each in found if each.text in known]
        await self._embed([*texts, *_compared(found)])
        scored = [self._scored(each) for each in found]
        return _chosen([each for each in scored if each is not None])

    async def _embed(self, texts: Sequence[str]) -> None:
        missing = [each for each in dict.fromkeys(texts) if each not in self._vectors]
        if missing:
            found = await self._embedder.embed(missing)
            self._vectors.update(zip(missing, found, strict=True))
        for each in texts:
            self._vectors.move_to_end(each)
        while len(self._vectors) > _CACHED:
            self._vectors.popitem(last=False)

    def _scored(self, candidate: Candidate) -> Finding | None:
        remark = candidate.remark
        near = self._nearest(candidate.text, remark.examples)
        far = self._nearest(candidate.text, remark.unlike)
        if near < remark.threshold or near <= far:
            return None
        return Finding(remark, candidate.path, candidate.line, near - max(far, 0.0) / 2)

    def _nearest(self, text: str, examples: Sequence[str]) -> float:
        vector = self._vectors[text]
        return max((float(self._vectors[each] @ vector) for each in examples), default=-1.0)


def candidates(change: Change, remarks: Sequence[Remark]) -> Iterator[Candidate]:
    """Yield the lines of a change that have the words of a remark."""
    tested = any(file.is_test for file in change.files)
    added = {line.text.strip() for file in change.files for line in file.of_kind("+")}
    for file in change.files:
        own = [
            each
            for each in remarks
            if (file.is_code or each.anywhere) and not (each.untested and tested)
        ]
        for hunk in file.hunks:
            for each in _in_hunk(file, hunk, own):
                # A removed line that stands elsewhere was moved.
                if each.line.kind == "+" or each.line.text.strip() not in added:
                    yield each


def _in_hunk(file: File, hunk: Hunk, remarks: Sequence[Remark]) -> Iterator[Candidate]:
    for at, line in enumerate(hunk.lines):
        side = {"+": "RIGHT", "-": "LEFT"}.get(line.kind)
        text = line.text[:LINE]
        if side is None or not line.number:
            continue
        for remark in remarks:
            if remark.side != side or not remark.may_apply(file.path, text):
                continue
            follows = _following(hunk, at) if remark.block else ""
            if remark.fits(_before(hunk, at), follows):
                yield Candidate(remark, file.path, line, f"{text.strip()} {follows}".strip())


def _before(hunk: Hunk, at: int) -> str:
    """Return the lines up to this one, as they are after the change, and what is around them."""
    lines = hunk.lines[max(0, at - BEFORE) : at + 1]
    return "\n".join([hunk.section, *(each.text[:LINE] for each in lines if each.kind != "-")])


def _following(hunk: Hunk, at: int) -> str:
    """Return the line that comes next on the same side, if this one opens a block."""
    if not hunk.lines[at].text.rstrip().endswith((":", "{")):
        return ""
    rest = hunk.lines[at + 1 : at + 1 + BEFORE]
    found = (each.text.strip() for each in rest if each.kind in (hunk.lines[at].kind, " "))
    return next(found, "")[:LINE]


def _compared(found: Sequence[Candidate]) -> Iterator[str]:
    """Yield what candidates are compared with; of most remarks a change has none."""
    for remark in dict.fromkeys(each.remark for each in found):
        yield from (*remark.examples, *remark.unlike)


def _chosen(found: Sequence[Finding]) -> list[Finding]:
    """Keep the best of each line, and of each remark not too many on a file."""
    best: dict[tuple[str, str, int], Finding] = {}
    for each in found:
        place = (each.path, each.remark.side, each.line.number)
        if place not in best or _rank(each) < _rank(best[place]):
            best[place] = each
    counts: dict[tuple[str, str], int] = {}
    kept = []
    for each in sorted(best.values(), key=_rank):
        key = (each.path, each.remark.title)
        counts[key] = counts.get(key, 0) + 1
        if counts[key] <= EACH:
            kept.append(each)
    return kept[:FINDINGS]


def _rank(finding: Finding) -> tuple[int, float, str]:
    return _LEVELS.index(finding.remark.severity), -finding.score, finding.path
