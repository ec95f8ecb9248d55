"""Whatever answers chat completions: an endpoint, or a model of the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from onecopy.errors import InvalidArgument

if TYPE_CHECKING:
    from onecopy.agents.grants.http.client import Client
    from onecopy.agents.grants.llm.answer import Answer
    from onecopy.agents.grants.llm.request import Request
    from onecopy.agents.manifest.grants import LlmGrant
    from onecopy.agents.secrets import Secrets
    from onecopy.store.client import Store
    from onecopy.store.snapshot import Snapshot


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

    def close(self) -> None:
        """Let go of what it holds; twice is fine."""


def chat_model(
    grant: LlmGrant, client: Client, secrets: Secrets, store: Store | Snapshot | None
) -> ChatModel:
    """Return what `[grants.llm]` names.

    Args:
        grant: of the manifest.
        client: that an endpoint is asked through.
        secrets: of which one is an endpoint's key.
        store: of a `store:NAME`.

    Raises:
        InvalidArgument: the key cannot be read, or no store was named.
    """
    if grant.url:
        from onecopy.agents.grants.llm.endpoint import Endpoint

        return Endpoint(
            client,
            grant.url,
            key=secrets.word(grant.key) if grant.key else "",
            private=grant.private,
            seconds=float(grant.timeout),
        )
    if store is None:
        raise InvalidArgument(f"{grant.model!r} is a model of a store; name it with --store NAME")
    from onecopy.agents.grants.llm.local import LocalModel

    return LocalModel(store, grant.model.partition(":")[2])
