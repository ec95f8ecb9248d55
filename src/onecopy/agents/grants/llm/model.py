"""Whatever answers chat completions: an endpoint, or a model of the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from onecopy.agents.grants.llm.answer import Answer
    from onecopy.agents.grants.llm.request import Request


class ChatModel(Protocol):
    """Answers requests; one for all runs of an agent."""

    async def complete(self, request: Request, most: int, answer: Answer) -> None:
        """Have a request answered; the answer grows as it comes, so that what came is counted.

        Args:
            request: what is asked.
            most: tokens that the answer may have.
            answer: an empty one.

        Raises:
            Refused: there is none, or only a part.
        """
