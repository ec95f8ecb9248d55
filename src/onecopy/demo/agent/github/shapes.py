"""What GitHub answers, as JSON values (docs.github.com/en/rest, API version 2022-11-28)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime

    from onecopy.demo.agent.github.history import ChangedFile
    from onecopy.demo.agent.github.state import Comment, GitHubState, PullRequest


class Shapes:
    """Makes JSON values of a state; `api` is the address of the server."""

    def __init__(self, state: GitHubState, api: str) -> None:
        self._state = state
        self._api = api
        self._repo = f"{api}/repos/{state.repo}"

    def user(self, login: str) -> dict[str, Any]:
        """A person, or the bot."""
        number = 1 + sorted({*self._state.people, self._state.bot, login}).index(login)
        return {
            "login": login,
            "id": number,
            "node_id": f"U_{number}",
            "url": f"{self._api}/users/{login}",
            "html_url": f"{self._api}/{login}",
            "type": "User",
            "site_admin": False,
        }

    def repository(self) -> dict[str, Any]:
        """The repository."""
        owner, name = self._state.repo.split("/")
        return {
            "id": 1,
            "node_id": "R_1",
            "name": name,
            "full_name": self._state.repo,
            "private": False,
            "owner": {**self.user(owner), "type": "Organization"},
            "html_url": f"{self._api}/{self._state.repo}",
            "url": self._repo,
            "fork": False,
            "default_branch": "main",
        }

    def pull_request(self, pull: PullRequest) -> dict[str, Any]:
        """A pull request, with its counts."""
        files = [] if pull.head_gone else self._state.history.files(pull.base, pull.head)
        url = f"{self._repo}/pulls/{pull.number}"
        return {
            "url": url,
            "id": 100 + pull.number,
            "node_id": f"PR_{pull.number}",
            "html_url": f"{self._api}/{self._state.repo}/pull/{pull.number}",
            "issue_url": f"{self._repo}/issues/{pull.number}",
            "commits_url": f"{url}/commits",
            "comments_url": f"{self._repo}/issues/{pull.number}/comments",
            "review_comments_url": f"{url}/comments",
            "number": pull.number,
            "state": pull.state,
            "locked": False,
            "title": pull.title,
            "body": pull.body or None,
            "user": self.user(pull.author),
            "labels": [self.label(each) for each in pull.labels],
            "draft": pull.draft,
            "created_at": _time(pull.created),
            "updated_at": _time(pull.created),
            "head": self._branch(pull, "head"),
            "base": self._branch(pull, "base"),
            "merged": False,
            "mergeable": True,
            "comments": sum(each.number == pull.number for each in self._state.comments),
            "review_comments": sum(
                each.number == pull.number for each in self._state.line_comments
            ),
            "commits": 1,
            "additions": sum(each.additions for each in files),
            "deletions": sum(each.deletions for each in files),
            "changed_files": len(files),
        }

    def _branch(self, pull: PullRequest, which: str) -> dict[str, Any]:
        is_head = which == "head"
        ref = f"change-{pull.number}" if is_head else "main"
        owner = pull.author if is_head and pull.from_fork else self._state.repo.split("/")[0]
        repository = None if is_head and pull.head_gone else self.repository()
        return {
            "label": f"{owner}:{ref}",
            "ref": ref,
            "sha": pull.head if is_head else pull.base,
            "user": None if repository is None else self.user(owner),
            "repo": repository,
        }

    def issue(self, pull: PullRequest) -> dict[str, Any]:
        """A pull request, as the issue that it is as well."""
        url = f"{self._repo}/issues/{pull.number}"
        return {
            "id": 200 + pull.number,
            "node_id": f"I_{pull.number}",
            "url": url,
            "repository_url": self._repo,
            "comments_url": f"{url}/comments",
            "labels_url": f"{url}/labels{{/name}}",
            "html_url": f"{self._api}/{self._state.repo}/pull/{pull.number}",
            "number": pull.number,
            "title": pull.title,
            "body": pull.body or None,
            "user": self.user(pull.author),
            "labels": [self.label(each) for each in pull.labels],
            "state": pull.state,
            "locked": False,
            "comments": sum(each.number == pull.number for each in self._state.comments),
            "created_at": _time(pull.created),
            "updated_at": _time(pull.created),
            "pull_request": {"url": f"{self._repo}/pulls/{pull.number}"},
        }

    def comment(self, comment: Comment) -> dict[str, Any]:
        """A comment of a conversation."""
        url = f"{self._repo}/issues/comments/{comment.id}"
        return {
            "id": comment.id,
            "node_id": f"IC_{comment.id}",
            "url": url,
            "html_url": f"{self._api}/{self._state.repo}/pull/{comment.number}#{comment.id}",
            "issue_url": f"{self._repo}/issues/{comment.number}",
            "body": comment.body,
            "user": self.user(comment.author),
            "created_at": _time(comment.created),
            "updated_at": _time(comment.updated),
            "author_association": "MEMBER",
        }

    def line_comment(self, comment: Comment) -> dict[str, Any]:
        """A comment on a line of the diff."""
        return {
            "id": comment.id,
            "node_id": f"PRRC_{comment.id}",
            "pull_request_review_id": comment.id,
            "url": f"{self._repo}/pulls/comments/{comment.id}",
            "pull_request_url": f"{self._repo}/pulls/{comment.number}",
            "html_url": f"{self._api}/{self._state.repo}/pull/{comment.number}#r{comment.id}",
            "path": comment.path,
            "side": comment.side,
            "line": comment.line,
            "original_line": comment.line,
            "commit_id": comment.commit,
            "original_commit_id": comment.commit,
            "subject_type": "line",
            "body": comment.body,
            "user": self.user(comment.author),
            "created_at": _time(comment.created),
            "updated_at": _time(comment.updated),
            "author_association": "MEMBER",
        }

    def file(self, file: ChangedFile, head: str) -> dict[str, Any]:
        """A changed file; `patch` is missing where there is none."""
        found: dict[str, Any] = {
            "sha": file.sha,
            "filename": file.path,
            "status": file.status,
            "additions": file.additions,
            "deletions": file.deletions,
            "changes": file.additions + file.deletions,
            "blob_url": f"{self._api}/{self._state.repo}/blob/{head}/{file.path}",
            "raw_url": f"{self._api}/{self._state.repo}/raw/{head}/{file.path}",
            "contents_url": f"{self._repo}/contents/{file.path}?ref={head}",
        }
        if file.patch is not None:
            found["patch"] = file.patch
        if file.previous is not None:
            found["previous_filename"] = file.previous
        return found

    def label(self, name: str) -> dict[str, Any]:
        """A label."""
        return {
            "id": sum(name.encode()),
            "node_id": f"LA_{name}",
            "url": f"{self._repo}/labels/{name}",
            "name": name,
            "description": None,
            "color": "ededed",
            "default": False,
        }

    def permission(self, login: str) -> dict[str, Any]:
        """What a person may do."""
        level = self._state.people[login]
        return {"permission": level, "role_name": level, "user": self.user(login)}


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
