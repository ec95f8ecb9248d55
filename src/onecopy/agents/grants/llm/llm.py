"""Chat completions: `llm` of the WIT."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import msgspec

from onecopy.agents.calls import TIMEOUT, Refused
from onecopy.agents.grants.arguments import checked
from onecopy.agents.grants.llm.answer import Answer
from onecopy.agents.grants.llm.budget import Budget
from onecopy.agents.grants.llm.request import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from onecopy.agents.grants.llm.budget import Spending, Usage
    from onecopy.agents.grants.llm.model import ChatModel
    from onecopy.agents.grants.llm.request import Request
    from onecopy.agents.manifest.grants import LlmGrant

_FUNCTIONS: Final = {"chat": tuple[str]}


class Llm:
    """The model of one run, within its budgets (a `Capability`).

        llm = Llm(manifest.grants.llm, endpoint, spending, recorder.usage)
        await llm.call("chat", ['{"messages": [{"role": "user", "content": "Hello"}]}'])

    Args:
        grant: `[grants.llm]` of the manifest.
        model: an `Endpoint` or a `LocalModel`; one for all runs of the agent.
        spending: of the agent, on this day.
        report: told of each call's usage, also of those that failed.
    """

    def __init__(
        self,
        grant: LlmGrant,
        model: ChatModel,
        spending: Spending,
        report: Callable[[Usage], None],
    ) -> None:
        self._models: Sequence[str] = grant.models or (grant.model.partition(":")[2],)
        self._seconds = float(grant.timeout)
        self._model = model
        self._budget = Budget(grant, spending, report)

    async def call(self, function: str, arguments: list[Any]) -> Any:
        """Carry out `chat`.

        Raises:
            Refused: `invalid`, `not-granted`, `budget`, `timeout`, `unavailable`, `too-large`.
        """
        (text,) = checked(_FUNCTIONS, function, arguments)
        request = parse(text, self._models)
        prompt = request.estimate()
        most = self._budget.allow(prompt, request.limit)
        answer = Answer(request.model)
        with self._budget.holding(prompt, most):
            try:
                await self._complete(request, most, answer)
            finally:  # also of a run that is ended meanwhile
                self._count(request, prompt, answer)
        return msgspec.json.encode(answer.response(prompt)).decode()

    async def _complete(self, request: Request, most: int, answer: Answer) -> None:
        work = self._model.complete(request, most, answer)
        try:
            await asyncio.wait_for(work, self._seconds)
        except asyncio.TimeoutError:
            # All of the answer may be there, and only the stream's end is not.
            if answer.finish_reason is None:
                raise Refused(
                    TIMEOUT,
                    f"the model did not answer within {self._seconds:g} s; ask for less, or raise "
                    "timeout in [grants.llm] of agent.toml",
                ) from None

    def _count(self, request: Request, prompt: int, answer: Answer) -> None:
        asked, answered, estimated = answer.tokens(prompt)
        if asked or answered:
            self._budget.spend(request.model, asked, answered, estimated=estimated)
