"""The history of a git repository, by the program `git`."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from onecopy.demo.agent.github.history import LARGEST_PATCH, ChangedFile
from onecopy.errors import InvalidArgument

_STATUS: Final = {"A": "added", "D": "removed", "M": "modified", "R": "renamed", "T": "modified"}

# Also without the programs that a repository or a user has for diffs.
_PLAIN: Final = ("-M", "--no-ext-diff", "--no-textconv", "--no-color")


class Size(NamedTuple):
    """How much a commit changes."""

    commit: str
    paths: tuple[str, ...]
    lines: int
    """Added and removed; those of binary files are none."""


class GitHistory:
    """Commits of a repository, which is only read.

    Args:
        path: its folder, or one below.

    Raises:
        InvalidArgument: git is not installed, or this is no repository.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._files: dict[tuple[str, str], list[ChangedFile]] = {}
        self._git("rev-parse", "--git-dir")

    def sizes(self, count: int = 100) -> list[Size]:
        """What the newest commits change, along first parents, the newest first."""
        if self._run("rev-parse", "--verify", "--quiet", "HEAD").returncode:
            return []  # nothing was committed yet
        line = ("log", "--first-parent", "-m", f"-{count}", "--format=%x00%H", "--numstat")
        return [_size(text) for text in self._git(*line, *_PLAIN).split("\0")[1:]]

    def title(self, commit: str) -> str:
        """The first line of a commit's message; of a merge's, what tells most of what it merges."""
        subject, _, body = self._git("log", "-1", "--format=%s%n%b", commit).partition("\n")
        if not subject.startswith("Merge ") or f"{commit}^2" not in self:
            return subject.strip()
        # GitHub writes the pull request's title below; others write nothing there.
        return body.strip().split("\n")[0] or self.title(f"{commit}^2")

    def __contains__(self, version: object) -> bool:
        return self._run("cat-file", "-e", f"{version}^{{commit}}").returncode == 0

    def is_ancestor(self, old: str, new: str) -> bool:
        """Whether `new` was made from `old`, or is it."""
        return self._run("merge-base", "--is-ancestor", old, new).returncode == 0

    def files(self, base: str, head: str) -> list[ChangedFile]:
        """What `head` changed since it left `base`; these are not names that move."""
        if (base, head) not in self._files:
            self._files[base, head] = self._changed(f"{base}...{head}")
        return self._files[base, head]

    def _changed(self, spread: str) -> list[ChangedFile]:
        counts = dict(_counted(self._git("diff", *_PLAIN, "--numstat", "-z", spread)))
        names = self._git("diff", *_PLAIN, "--raw", "-z", "--abbrev=40", spread)
        return [
            self._change(spread, sha, status, old, path, counts.get(path, (None, None)))
            for sha, status, old, path in _named(names)
        ]

    def _change(
        self, spread: str, sha: str, status: str, old: str, path: str,
        counts: tuple[int | None, int | None],
    ) -> ChangedFile:  # fmt: skip
        added, removed = counts
        # Of what becomes a link, or was one, git shows two changes.
        known = added is not None and status != "T"
        patch = self._patch(spread, old, path) if known else None
        previous = old if status == "R" else None
        return ChangedFile(path, _STATUS[status], added or 0, removed or 0, patch, sha, previous)

    def _patch(self, spread: str, old: str, path: str) -> str | None:
        text = self._git("diff", *_PLAIN, "-U3", spread, "--", *{old, path})
        at = text.find("\n@@ ")
        hunks = text[at + 1 :].removesuffix("\n") if at >= 0 else ""
        return hunks if 0 < len(hunks) <= LARGEST_PATCH else None

    def _git(self, *arguments: str) -> str:
        done = self._run(*arguments)
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip()
            raise InvalidArgument(f"{self._path}: git {arguments[0]} says: {said}")
        return done.stdout.decode(errors="replace")

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        # A repository's own settings must not start other programs.
        safe = ("-c", "core.fsmonitor=false", "-c", "core.quotePath=false")
        # Names of files are no patterns here, whatever is in them.
        command = ["git", "-C", str(self._path), "--no-pager", "--literal-pathspecs", *safe]
        try:
            return subprocess.run([*command, *arguments], capture_output=True, check=False)
        except FileNotFoundError:
            raise InvalidArgument("git is not installed; install it, or leave out --repo") from None


def _size(text: str) -> Size:
    """Read what `--numstat` has below a commit; a renamed file's name has both in it."""
    commit, *rows = text.split("\n")
    counted = [row.split("\t", 2) for row in rows if row]
    paths = tuple(path.rstrip('"}') for *_, path in counted)
    return Size(commit, paths, sum(int(each) for row in counted for each in row[:2] if each != "-"))


def _counted(text: str) -> Iterator[tuple[str, tuple[int | None, int | None]]]:
    """Read `--numstat -z`; a binary file has no numbers, a renamed one two names."""
    parts = iter(text.split("\0"))
    for part in parts:
        if not part:
            continue
        added, removed, path = part.split("\t")
        if not path:
            next(parts)
            path = next(parts)
        yield path, (None, None) if added == "-" else (int(added), int(removed))


def _named(text: str) -> Iterator[tuple[str, str, str, str]]:
    """Read `--raw -z`: blob, status, and the names before and after."""
    parts = iter(text.split("\0"))
    for part in parts:
        if not part:
            continue
        *_, old_sha, new_sha, status = part.split()
        old = next(parts)
        path = next(parts) if status[0] in "RC" else old
        yield (old_sha if status == "D" else new_sha), status[0], old, path
