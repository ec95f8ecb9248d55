"""The model: one review out of as many questions as the change needs, each answer checked."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from onecopy_agent import (
    AgentError,
    BudgetExceeded,
    Failed,
    Invalid,
    TooLarge,
    kv,
    llm,
    log,
    nesting,
    schema,
)

from review_bot import prompt
from review_bot.diff import FileDiff
from review_bot.review import Review, accept, merged
from review_bot.schemas import ANSWER, OVERVIEW
from review_bot.skipping import importance

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from review_bot.incremental import Scope
    from review_bot.settings import Settings
    from review_bot.shapes import PullRequest


@dataclass
class Told:
    """What the model has made of a change, and what it has not seen."""

    review: Review
    unseen: dict[str, str] = field(default_factory=dict)
    """Why, by path."""
    calls: int = 0


class Reviewer:
    """Asks the model; answers are kept until the run is done, so that none is paid for twice."""

    def __init__(self, settings: Settings, event: str) -> None:
        self._settings = settings
        self._kept = f"answer:{event}:"
        self._calls = 0
        self._schemas = True

    def review(self, pull: PullRequest, scope: Scope, files: Mapping[str, FileDiff]) -> Told:
        """Review a change, in parts where it is large.

        Raises:
            BudgetExceeded: not even one part was in the budget.
        """
        told = Told(Review())
        about = prompt.about(pull, scope.since)
        budget = max(500, self._settings.tokens_per_call - prompt.tokens(prompt.SYSTEM + about))
        wanted = sorted((each for each in scope.files if not each.skipped), key=importance)
        groups = list(prompt.parts(wanted, budget))
        reviews: list[Review] = []
        for number, group in enumerate(groups, 1):
            if number > self._settings.calls:
                _note(told, groups[number - 1 :], "the change is too large")
                break
            log.step(f"review {number}/{min(len(groups), self._settings.calls)}")
            try:
                answer = self._part(about, group, full=scope.full)
            except BudgetExceeded as error:
                if not reviews:
                    raise
                log.warning(str(error))
                _note(told, groups[number - 1 :], "the budget is used up")
                break
            if answer is None:
                _note(told, [group], "the model gave no valid answer")
            else:
                reviews.append(self._accepted(answer, group, scope, files))
        told.review = self._merged(reviews)
        told.calls = self._calls
        return told

    @staticmethod
    def _accepted(
        answer: Any, group: Sequence[FileDiff], scope: Scope, files: Mapping[str, FileDiff]
    ) -> Review:
        shown = {each.path: _whole(each, group) for each in group}
        return accept(answer, shown, files, ("RIGHT", "LEFT") if scope.full else ("RIGHT",))

    def forget(self) -> None:
        """Let go of the answers that were kept, of this run and of earlier ones."""
        for key in kv.conversation.keys("answer:"):
            kv.conversation.delete(key)

    def _part(self, about: str, group: Sequence[FileDiff], *, full: bool) -> Any:
        text = "\n".join([about, *(prompt.shown(each, numbered_left=full) for each in group)])
        return self._asked(prompt.SYSTEM, text, ANSWER)

    def _merged(self, reviews: Sequence[Review]) -> Review:
        if len(reviews) == 1:
            return reviews[0]
        if not reviews:
            return Review()
        log.step("merge")
        try:
            answer = self._asked(prompt.MERGE, prompt.reviews(reviews), OVERVIEW)
        except BudgetExceeded as error:
            log.warning(str(error))
            answer = None
        if answer is None:
            return merged(reviews, _side_by_side(reviews))
        texts = {name: tuple(answer[name]) for name in ("changes", "risks")}
        return merged(reviews, Review(answer["summary"], risk=answer["risk"], **texts))

    def _asked(self, system: str, text: str, wanted: dict[str, Any]) -> Any:
        key = self._kept + hashlib.sha256((system + text).encode(errors="replace")).hexdigest()[:32]
        kept = kv.conversation.get(key)
        if kept is not None:
            return kept["answer"]
        answer = self._ask(system, text, wanted)
        try:
            kv.conversation.set(key, {"answer": answer})
        except AgentError as error:  # such as a full quota: another attempt would pay again
            log.warning(f"the answer is not kept: {error}")
        return answer

    def _ask(self, system: str, text: str, wanted: dict[str, Any]) -> Any:
        """Ask once, and once more to repair what does not fit; None if that does not help."""
        word, data = prompt.enclosed(text)
        messages = [{"role": "user", "content": data}]
        for _ in range(2):
            try:
                said = self._chat(messages, system.format(word=word), wanted)
            except TooLarge as error:  # another attempt would pay for as much, and fail as this one
                log.warning(f"the model: {error}")
                return None
            answer, wrong = _parsed(said, wanted)
            if not wrong:
                return answer
            log.warning(f"the model's answer: {wrong}")
            messages += [
                {"role": "assistant", "content": said[:20_000]},
                {"role": "user", "content": prompt.REPAIR.format(wrong=wrong)},
            ]
        return None

    def _chat(self, messages: list[dict[str, Any]], system: str, wanted: dict[str, Any]) -> str:
        self._calls += 1
        options: dict[str, Any] = {"model": self._settings.model, "system": system}
        if self._settings.max_tokens:
            options["max_tokens"] = self._settings.max_tokens
        if self._schemas:
            try:
                return llm.chat(messages, schema=wanted, **options).text
            except (Failed, Invalid) as error:
                # Not every server knows json_schema; the answer is checked in any case.
                log.info(f"without a schema: {error}")
        text = llm.chat(messages, **options).text
        self._schemas = False
        return text


def _whole(piece: FileDiff, group: Sequence[FileDiff]) -> FileDiff:
    """Return all pieces of a file that are in one part, as one."""
    hunks = tuple(hunk for each in group if each.path == piece.path for hunk in each.hunks)
    return FileDiff(piece.path, piece.status, piece.previous, hunks)


def _note(told: Told, groups: Sequence[Sequence[FileDiff]], why: str) -> None:
    for group in groups:
        for each in group:
            told.unseen.setdefault(each.path, why)


def _side_by_side(reviews: Sequence[Review]) -> Review:
    """Put the overviews of parts together without a model."""
    return Review(
        " ".join(each.summary for each in reviews),
        tuple(text for each in reviews for text in each.changes[:2]),
        tuple(text for each in reviews for text in each.risks[:2]),
    )


def _parsed(said: str, wanted: dict[str, Any]) -> tuple[Any, str]:
    """Read an answer, which may stand in a fence or between words; return what is wrong, too."""
    start, end = said.find("{"), said.rfind("}")
    if start < 0 or end < start:
        return None, "there is no JSON object in it"
    try:
        answer = schema.only(nesting.loads(said[start : end + 1]), wanted)
    except ValueError as error:
        return None, f"it is no JSON ({error})"
    return answer, schema.mismatch(answer, wanted)
