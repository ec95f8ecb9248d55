"""Versions of a tree of files, and what changes from one to another, as GitHub lists it."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Mapping
from typing import Final, Protocol

import msgspec

LARGEST_PATCH: Final = 1 << 20
"""Bytes; GitHub leaves out the patch of larger changes."""


class ChangedFile(msgspec.Struct, frozen=True):
    """One file that differs between two versions."""

    path: str
    status: str
    """`added`, `removed`, `modified` or `renamed`."""
    additions: int
    deletions: int
    patch: str | None
    """Hunks without the lines that name the file; None for binary and very large changes."""
    sha: str
    previous: str | None = None


class History(Protocol):
    """Versions by name."""

    def __contains__(self, version: object) -> bool:
        """Whether there is such a version."""

    def files(self, base: str, head: str) -> list[ChangedFile]:
        """What `head` changed since it left `base`."""

    def is_ancestor(self, old: str, new: str) -> bool:
        """Whether `new` was made from `old`, or is it."""


class Versions:
    """A history in memory, without git.

    >>> versions = Versions()
    >>> first = versions.add({"a.py": "x = 1\\n"})
    >>> second = versions.add({"a.py": "x = 2\\n"}, parent=first)
    >>> versions.files(first, second)[0].patch
    '@@ -1 +1 @@\\n-x = 1\\n+x = 2'
    """

    def __init__(self) -> None:
        self._trees: dict[str, dict[str, str | bytes]] = {}
        self._parents: dict[str, str | None] = {}

    def add(self, tree: Mapping[str, str | bytes], parent: str | None = None) -> str:
        """Add a version, made from `parent`, and return its name; bytes are binary files."""
        content = msgspec.json.encode(sorted((path, _sha(each)) for path, each in tree.items()))
        name = hashlib.sha1(content + (parent or "").encode()).hexdigest()
        self._trees[name] = dict(tree)
        self._parents[name] = parent
        return name

    def __contains__(self, version: object) -> bool:
        return version in self._trees

    def is_ancestor(self, old: str, new: str) -> bool:
        """Whether `new` was made from `old`, or is it."""
        return old in self._line(new)

    def files(self, base: str, head: str) -> list[ChangedFile]:
        """What `head` changed since it left `base`; a file with the same text was renamed."""
        line = self._line(base)
        common = next((each for each in self._line(head) if each in line), None)
        old = self._trees[common] if common else {}
        return list(_changes(old, self._trees[head]))

    def _line(self, version: str) -> list[str]:
        found = [version]
        while parent := self._parents[found[-1]]:
            found.append(parent)
        return found


def _changes(old: Mapping[str, str | bytes], new: Mapping[str, str | bytes]) -> list[ChangedFile]:
    gone = {_sha(text): path for path, text in old.items() if path not in new}
    renamed = {path: gone.pop(_sha(text)) for path, text in new.items()
               if path not in old and _sha(text) in gone}  # fmt: skip
    found = []
    for path in sorted({*old, *new} - set(renamed.values())):
        before = old.get(renamed.get(path, path))
        after = new.get(path)
        if path in renamed:
            found.append(ChangedFile(path, "renamed", 0, 0, None, _sha(after or ""), renamed[path]))
        elif before != after:
            found.append(_change(path, before, after))
    return found


def _change(path: str, before: str | bytes | None, after: str | bytes | None) -> ChangedFile:
    status = "added" if before is None else "removed" if after is None else "modified"
    sha = _sha(after if after is not None else before or "")
    if isinstance(before, bytes) or isinstance(after, bytes):
        return ChangedFile(path, status, 0, 0, None, sha)
    lines = list(_hunks(before or "", after or ""))
    added = sum(line.startswith("+") for line in lines)
    removed = sum(line.startswith("-") for line in lines)
    patch = "\n".join(lines)
    shown = patch if len(patch) <= LARGEST_PATCH else None
    return ChangedFile(path, status, added, removed, shown, sha)


def _hunks(before: str, after: str) -> list[str]:
    lines: list[str] = []
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    for line in list(difflib.unified_diff(old, new))[2:]:
        lines.append(line.rstrip("\n"))
        if not line.endswith("\n"):
            lines.append("\\ No newline at end of file")
    return lines


def _sha(text: str | bytes) -> str:
    raw = text.encode() if isinstance(text, str) else text
    return hashlib.sha1(b"blob %d\0" % len(raw) + raw).hexdigest()
