"""The history of a git repository, by the program `git`."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from onecopy.demo.agent.github.history import LARGEST_PATCH, ChangedFile
from onecopy.errors import InvalidArgument

_STATUS: Final = {"A": "added", "D": "removed", "M": "modified", "R": "renamed", "T": "modified"}

# Also without the programs that a repository or a user has for diffs.
_PLAIN: Final = ("-M", "--no-ext-diff", "--no-textconv", "--no-color")


class GitHistory:
    """Commits of a repository, which is only read.

    Args:
        path: its folder, or one below.

    Raises:
        InvalidArgument: git is not installed, or this is no repository.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._git("rev-parse", "--git-dir")

    def commits(self, name: str = "HEAD", count: int = 100) -> list[str]:
        """The newest commits of a branch along its first parents, the newest first."""
        return self._git("rev-list", "--first-parent", f"-{count}", name).split()

    def title(self, commit: str) -> str:
        """The first line of a commit's message."""
        return self._git("log", "-1", "--format=%s", commit).strip()

    def __contains__(self, version: object) -> bool:
        return self._run("cat-file", "-e", f"{version}^{{commit}}").returncode == 0

    def is_ancestor(self, old: str, new: str) -> bool:
        """Whether `new` was made from `old`, or is it."""
        return self._run("merge-base", "--is-ancestor", old, new).returncode == 0

    def files(self, base: str, head: str) -> list[ChangedFile]:
        """What `head` changed since it left `base`."""
        spread = f"{base}...{head}"
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
        patch = None if added is None else self._patch(spread, old, path)
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
        command = ["git", "-C", str(self._path), "--no-pager", *safe, *arguments]
        try:
            return subprocess.run(command, capture_output=True, check=False)
        except FileNotFoundError:
            raise InvalidArgument("git is not installed; install it, or leave out --repo") from None


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
