"""What happens when: from an event to one comment that is kept up to date.

Everything is read anew from GitHub, whatever the event says: it may be late, or one of many. The
comment comes last, and with it the head that was reviewed: a run that ends before is repeated, and
finds by their markers what it had already done.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from onecopy_agent import GiveUp, NotGranted, Retry, Timeout, Unavailable, log

from review_bot import comment, rendering
from review_bot.github import GitHub
from review_bot.incremental import scope
from review_bot.llm import Reviewer
from review_bot.review import Finding, Review, State, highest, still_there
from review_bot.settings import Settings
from review_bot.skipping import skip
from review_bot.transport import Ambiguous

if TYPE_CHECKING:
    from collections.abc import Iterable

    from onecopy_agent import Event

    from review_bot.diff import FileDiff
    from review_bot.incremental import Scope
    from review_bot.llm import Told
    from review_bot.shapes import Comment, PullRequest

_NEWS = 5


def handle(event: Event) -> dict[str, Any]:
    """Review the pull request of an event, where it is for the bot to do so."""
    settings = Settings.of(event.settings)
    github = GitHub(settings.github, event.fields["repo"], event.fields["number"], event.attempt)
    log.step("pull request")
    asked = event.kind.startswith("issue_comment")
    why = _unasked(event, settings, github) if asked else ""
    pull = None if why else github.pull_request()
    if pull is None:
        return _skipped(why or "the pull request is gone")
    if not pull.open:
        return _skipped("the pull request is closed")
    if pull.draft and not settings.drafts and not asked:
        return _skipped("the pull request is a draft")
    return _Run(settings, github, pull, event).review()


def _unasked(event: Event, settings: Settings, github: GitHub) -> str:
    """Return why a comment is none that asks for a review; empty if it is."""
    said = (event.payload or {}).get("comment") or {}
    author = said.get("user") or {}
    if settings.trigger not in (said.get("body") or ""):
        return "the comment does not ask for a review"
    if comment.is_marked(said["body"]):
        return "the comment is the bot's own"
    if author.get("type") == "Bot" or not author.get("login"):
        return "the comment is of no person"
    if not github.may_write(author["login"]):
        return "who asks may not write to the repository"
    return ""


def _skipped(why: str) -> dict[str, Any]:
    log.info(why)
    return {"status": "skipped", "why": why}


class _Run:
    """One review of one pull request at its head."""

    def __init__(self, settings: Settings, github: GitHub, pull: PullRequest, event: Event) -> None:
        self._settings, self._github, self._pull = settings, github, pull
        self._reviewer = Reviewer(settings, event.id)
        self._me = ""
        self._asked = int(((event.payload or {}).get("comment") or {}).get("id") or 0)

    def review(self) -> dict[str, Any]:
        self._me = self._github.me()
        found = self._own_comment()
        before = State.of(comment.state_of(found.body)) if found else None
        if before and before.head == self._pull.head and self._asked in (0, before.asked):
            self._reviewer.forget()
            return _skipped("this head is reviewed already")
        log.step("files")
        listed, complete = self._github.files(self._settings.files)
        files = [skip(each, self._settings.skip or ()) for each in listed]
        work = self._scope(files, None if self._asked else before)
        told = self._told(work, {each.path: each for each in files})
        state, outdated = _state(self._pull.head, before, work, told, files)
        state = replace(state, asked=self._asked or state.asked)
        posted = self._comment_on_lines(state.review)
        self._label(state.review.risk)
        unlisted = 0 if complete else max(1, self._pull.changed - len(files))
        shown = _shown(work, told, unlisted, outdated)
        made = self._publish(rendering.comment(state, shown), found)
        self._reviewer.forget()
        return {
            "status": "reviewed",
            "scope": "full" if work.full else "incremental",
            "head": self._pull.head,
            "risk": state.review.risk,
            "findings": len(state.review.findings),
            "inline": posted,
            "calls": told.calls,
            "comment": made.id,
        }

    def _scope(self, files: list[FileDiff], before: State | None) -> Scope:
        log.step("what is new")
        compared = self._github.compare(before.head, self._pull.head) if before else None
        return scope(files, before, compared)

    def _told(self, work: Scope, files: dict[str, FileDiff]) -> Told:
        try:
            return self._reviewer.review(self._pull, work, files)
        except (Timeout, Unavailable) as error:
            raise Retry(self._github.pause(), f"the model: {error}") from None

    def _is_mine(self, each: Comment) -> bool:
        """Whether the bot has written a comment: a marker alone could be anybody's.

        The token of an app does not say whose it is; then the comment has to be one of an app.
        """
        return each.author == self._me if self._me else each.bot

    def _own_comment(self) -> Comment | None:
        log.step("own comment")
        mine = filter(self._is_mine, self._github.comments())
        return next((each for each in mine if comment.is_marked(each.body)), None)

    def _publish(self, body: str, found: Comment | None) -> Comment:
        log.step("comment")
        # Looked for at the beginning; that was minutes ago, and a person may have removed it.
        changed = self._github.update_comment(found.id, body) if found else None
        return changed or self._created(body)

    def _created(self, body: str) -> Comment:
        found = self._own_comment()
        if found is not None:
            return self._github.update_comment(found.id, body) or found
        try:
            return self._github.create_comment(body)
        except Ambiguous as error:
            found = self._own_comment()
            if found is None:
                raise Retry(self._github.pause(), f"the comment: {error}") from None
            return found

    def _comment_on_lines(self, review: Review) -> int:
        settings = self._settings
        chosen = rendering.worth_a_comment(review.findings, settings.inline_from, settings.inline)
        if not chosen:
            return 0
        log.step("lines")
        there = self._anchors()
        wanted = [each for each in chosen if each.anchor not in there]
        return sum(self._comment_on(each) for each in wanted)

    def _anchors(self) -> set[str]:
        mine = filter(self._is_mine, self._github.line_comments())
        return {comment.anchor_of(each.body) for each in mine}

    def _comment_on(self, each: Finding) -> bool:
        body = rendering.line_comment(each)
        head, place = self._pull.head, (each.path, each.side, each.line)
        try:
            if self._github.create_line_comment(body, head, *place):
                return True
        except Ambiguous as error:
            if each.anchor in self._anchors():
                return True
            raise Retry(self._github.pause(), f"a line's comment: {error}") from None
        log.warning(f"GitHub finds no line {each.line} of {each.path}")
        return False

    def _label(self, risk: str) -> None:
        labels = self._settings.labels or {}
        if not labels:
            return
        log.step("labels")
        try:
            self._relabel(labels.get(risk), set(labels.values()))
        except (GiveUp, NotGranted) as error:  # a review is worth more than its label
            log.warning(str(error))

    def _relabel(self, wanted: str | None, ours: set[str]) -> None:
        for name in sorted(ours & self._pull.labels - {wanted}):
            self._github.remove_label(name)
        if wanted and wanted not in self._pull.labels:
            self._github.add_label(wanted)


def _state(
    head: str, before: State | None, work: Scope, told: Told, files: list[FileDiff]
) -> tuple[State, int]:
    """Return what is kept of this review, and how many earlier findings no longer apply."""
    if work.full or before is None:
        review = replace(told.review, risk=_worst(told.review.risk, told.review.findings))
        return State(head, review, asked=before.asked if before else 0), 0
    kept = still_there(before.review.findings, {each.path: each for each in files})
    findings = (*kept, *told.review.findings)
    review = replace(before.review, findings=findings, risk=_worst(told.review.risk, findings))
    news = ((head, told.review.summary), *before.news) if told.review.summary else before.news
    state = State(head, review, news[:_NEWS], before.asked)
    return state, len(before.review.findings) - len(kept)


def _worst(risk: str, findings: Iterable[Finding]) -> str:
    """Return a change's risk: no less than its worst finding."""
    return highest([Review(risk=risk), *(Review(risk=each.severity) for each in findings)])


def _shown(work: Scope, told: Told, unlisted: int, outdated: int) -> rendering.Shown:
    skipped = {each.path: each.skipped for each in work.files if each.skipped}
    seen = [each for each in work.files if not each.skipped and each.path not in told.unseen]
    return rendering.Shown(work.since, {**skipped, **told.unseen}, len(seen), unlisted, outdated)
