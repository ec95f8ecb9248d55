"""One pull request of a GitHub, in memory: the documented shapes of what the bot asks for."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from typing import Any
from urllib.parse import unquote

PULL = "/repos/octo/hello/pulls/7"
ISSUE = "/repos/octo/hello/issues/7"


class MemoryGitHub:
    """Versions of a repository's files, and what a bot does with them."""

    def __init__(self) -> None:
        self.api = "https://api.github.test"
        self.base: dict[str, str] = {"app.py": "".join(f"line {n}\n" for n in range(1, 31))}
        self.commits: list[dict[str, str]] = []
        self.forced = False
        self.pull: dict[str, Any] = {"state": "open", "draft": False, "title": "T", "body": None}
        self.labels: list[str] = []
        self.comments: list[dict[str, Any]] = []
        self.line_comments: list[dict[str, Any]] = []
        self.permissions = {"ada": "write", "eve": "read"}
        self.me: str | None = "review-bot"
        self.app = False
        self.faults: list[tuple[str, Any]] = []
        """What to answer instead, once, to the next request that a pattern matches."""
        self.seen: list[str] = []
        self.extra: list[dict[str, Any]] = []
        """Entries of the list of files beside those that the versions have."""
        self.push({"app.py": self.base["app.py"].replace("line 10\n", "line 10\nnew line\n")})

    def push(self, files: dict[str, str]) -> str:
        """Add a commit on top."""
        self.commits.append({**(self.commits[-1] if self.commits else self.base), **files})
        return self.head

    def force_push(self, files: dict[str, str]) -> str:
        """Put a commit in place of all before."""
        self.commits, self.forced = [{**self.base, **files}], True
        return self.head

    @property
    def head(self) -> str:
        """The commit's name."""
        return _sha(self.commits[-1])

    @property
    def body(self) -> str:
        """The body of the only comment of the bot."""
        [mine] = [each for each in self.comments if each["user"]["login"] == self._user["login"]]
        return mine["body"]

    @property
    def _user(self) -> dict[str, Any]:
        if self.app:
            return {"login": "review-app[bot]", "type": "Bot"}
        return {"login": self.me, "type": "User"}

    def serve(self, sent: Any) -> Any:
        """Answer a request."""
        line = f"{sent.method} {sent.path}"
        self.seen.append(line)
        assert sent.headers["user-agent"], "GitHub refuses requests without"
        for each in self.faults:
            if re.search(each[0], line):
                self.faults.remove(each)
                return self._fault(each[1], sent)
        return self._answer(sent)

    def _fault(self, fault: Any, sent: Any) -> Any:
        if callable(fault):
            fault = fault(self._answer, sent)
        if isinstance(fault, Exception):
            raise fault
        return fault

    def _answer(self, sent: Any) -> Any:
        match sent.method, sent.path:
            case "GET", "/user":
                return (403, {}, {"message": "Forbidden"}) if self.app else (200, {}, self._user)
            case "GET", path if path == PULL:
                return 200, {}, self._pull()
            case "GET", path if path == f"{PULL}/files":
                return self._page(sent, self._files())
            case "GET", path if path == f"{PULL}/comments":
                return self._page(sent, self.line_comments)
            case "GET", path if path == f"{ISSUE}/comments":
                return self._page(sent, self.comments)
            case "POST", path if path == f"{ISSUE}/comments":
                return self._add(self.comments, sent)
            case "POST", path if path == f"{PULL}/comments":
                return self._add_to_line(sent)
            case "POST", path if path == f"{ISSUE}/labels":
                self.labels += sent.json()["labels"]
                return 200, {}, [{"name": each} for each in self.labels]
        return self._named(sent)

    def _named(self, sent: Any) -> Any:
        """Answer what has a name in its path."""
        *_, kind, name = sent.path.split("/")
        match sent.method, kind:
            case "GET", "compare":
                return self._compare(*name.split("..."))
            case "GET", _ if name == "permission":
                found = self.permissions.get(kind)
                return (200, {}, {"permission": found}) if found else (404, {}, {"message": "?"})
            case "PATCH", "comments":
                found = [each for each in self.comments if each["id"] == int(name)]
                for each in found:
                    each["body"] = sent.json()["body"]
                return (200, {}, found[0]) if found else (404, {}, {"message": "Not Found"})
            case "DELETE", "labels":
                self.labels.remove(unquote(name))
                return 200, {}, []
        raise AssertionError(f"{sent.method} {sent.path} is not for the bot")

    def _pull(self) -> dict[str, Any]:
        head = {"sha": self.head, "ref": "topic", "repo": None}
        labels = [{"name": each} for each in self.labels]
        count = len(self._files())
        return {"number": 7, "head": head, "labels": labels, "changed_files": count, **self.pull}

    def _files(self) -> list[dict[str, Any]]:
        return [*_changes(self.base, self.commits[-1]), *self.extra]

    def _compare(self, old: str, new: str) -> Any:
        known = {_sha(each): each for each in self.commits}
        if old not in known:
            return 404, {}, {"message": "Not Found"}
        status = "diverged" if self.forced else "ahead"
        return 200, {}, {"status": status, "files": _changes(known[old], known[new])}

    def _page(self, sent: Any, items: list[Any]) -> Any:
        size, page = int(sent.query.get("per_page", 30)), int(sent.query.get("page", 1))
        shown = items[(page - 1) * size : page * size]
        # As GitHub has it: by the repository's number.
        url = f"{self.api}/repositories/1{sent.path}?per_page={size}&page={page + 1}"
        more = page * size < len(items)
        return 200, {"Link": f'<{url}>; rel="next"'} if more else {}, shown

    def _add(self, comments: list[Any], sent: Any, **more: Any) -> Any:
        made = {"id": 1000 + len(self.seen), "user": self._user, **sent.json(), **more}
        comments.append(made)
        return 201, {}, made

    def _add_to_line(self, sent: Any) -> Any:
        given = sent.json()
        patches = {each["filename"]: each.get("patch", "") for each in self._files()}
        if (given["side"], given["line"]) not in _lines(patches.get(given["path"], "")):
            return 422, {}, {"message": "Validation Failed"}
        return self._add(self.line_comments, sent)


def _sha(files: dict[str, str]) -> str:
    return hashlib.sha1(json.dumps(files, sort_keys=True).encode()).hexdigest()


def _changes(old: dict[str, str], new: dict[str, str]) -> list[dict[str, Any]]:
    names = sorted(name for name in old | new if old.get(name) != new.get(name))
    return [_change(name, old.get(name), new.get(name)) for name in names]


def _change(name: str, old: str | None, new: str | None) -> dict[str, Any]:
    before, after = (old or "").splitlines(), (new or "").splitlines()
    lines = list(difflib.unified_diff(before, after, lineterm=""))[2:]
    status = "added" if old is None else "removed" if new is None else "modified"
    counts = {kind: sum(each.startswith(kind) for each in lines) for kind in "+-"}
    told = {"filename": name, "status": status, "patch": "\n".join(lines)}
    return {**told, "additions": counts["+"], "deletions": counts["-"]}


def _lines(patch: str) -> set[tuple[str, int]]:
    """The places for comments, counted independently of the bot."""
    found, old, new = set(), 0, 0
    for each in patch.splitlines():
        header = re.match(r"@@ -(\d+).* \+(\d+)", each)
        if header:
            old, new = int(header[1]), int(header[2])
        elif each.startswith("-"):
            found.add(("LEFT", old))
            old += 1
        else:
            found.add(("RIGHT", new))
            new += 1
            old += not each.startswith("+")
    return found
