"""Which events stand for the same news, so that only the newest of those that wait need run."""

from __future__ import annotations

from onecopy.agents.queue.submission import Submission

_MESSAGES = ("comment", "message")


def class_of(submission: Submission) -> str:
    """The class of an event: of one subject and class, the newest supersedes those that wait.

    It is what the submission says, or else the first part of its kind: `pull_request` for
    `pull_request.opened` and `pull_request.synchronize`, which tell of the newest state of
    something. It is empty, for never, where each event says something of its own: comments and
    messages (`issue_comment.created`), and what a person sends by the CLI.
    """
    if submission.coalesce is not None:
        return submission.coalesce
    first = submission.kind.partition(".")[0]
    if submission.trigger == "cli" or first.endswith(_MESSAGES):
        return ""
    return first
