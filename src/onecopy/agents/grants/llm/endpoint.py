"""An OpenAI-compatible endpoint: asked for a stream, again if it is busy, and never believed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import urlsplit

import msgspec

from onecopy.agents.calls import FAILED, TOO_LARGE, UNAVAILABLE, Refused
from onecopy.agents.grants.llm.failures import Again, Definite, failure, read_error
from onecopy.agents.grants.llm.sse import Events

if TYPE_CHECKING:
    from onecopy.agents.grants.llm.answer import Answer
    from onecopy.agents.grants.llm.request import Request

ATTEMPTS: Final = 4
BACKOFF: Final = 0.5
"""Seconds before the second attempt; twice as many before each further one."""
STREAM_BYTES: Final = 32 << 20
"""Of a whole stream: each token comes with some two hundred bytes around it."""
_DONE: Final = b"[DONE]"
_NEWER: Final = "max_completion_tokens"
_OLDER: Final = "max_tokens"


class Stream(Protocol):
    """A response whose body is read as it arrives."""

    @property
    def status(self) -> int:
        """The status code."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Names are of any case."""

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body; raises `Refused` if the connection breaks."""


class Client(Protocol):
    """What requests go through; see `onecopy.agents.grants.http.client`."""

    def stream(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        *,
        private: bool,
        timeout: float,
    ) -> AbstractAsyncContextManager[Stream]:
        """Send a request; raises `Refused` if there is no response."""


class Endpoint:
    """Where chat completions are had (a `ChatModel`).

        endpoint = Endpoint(client, "https://api.openai.com/v1", key=key)

    Args:
        client: what requests go through.
        url: that `chat/completions` is put behind.
        key: sent as a bearer token; it is in no text of a refusal.
        private: whether the address may be a private one.
        seconds: for one request with all its attempts.
        sleep: waits between attempts.
    """

    def __init__(
        self,
        client: Client,
        url: str,
        *,
        key: str = "",
        private: bool = False,
        seconds: float = 120.0,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._client = client
        self._url = url.rstrip("/") + "/chat/completions"
        self._key = key
        self._private = private
        self._seconds = seconds
        self._sleep = sleep
        is_openai = urlsplit(url).hostname == "api.openai.com"
        self._limit_name = _NEWER if is_openai else _OLDER
        self._leave_out: set[str] = set()
        """Fields that this endpoint has refused."""

    async def complete(self, request: Request, most: int, answer: Answer) -> None:
        """Have a request answered, as `ChatModel.complete` says.

        What is busy, or breaks off before the answer has begun, is asked again.
        """
        until = time.monotonic() + self._seconds
        for attempt in range(ATTEMPTS):
            try:
                await self._ask(request, most, answer)
                return
            except Definite as definite:
                raise definite.refused from None
            except Again as again:
                delay = BACKOFF * 2**attempt if again.after is None else again.after
                if attempt == ATTEMPTS - 1 or time.monotonic() + delay > until:
                    raise again.refused from None
                await self._sleep(delay)

    def _body(self, request: Request, most: int) -> bytes:
        body = request.body(most, self._limit_name)
        return msgspec.json.encode({k: v for k, v in body.items() if k not in self._leave_out})

    async def _ask(self, request: Request, most: int, answer: Answer) -> None:
        headers = {
            "Content-Type": "application/json",
            "Accept": "text/event-stream",
            **({"Authorization": f"Bearer {self._key}"} if self._key else {}),
        }
        body = self._body(request, most)
        try:
            async with self._client.stream(
                "POST", self._url, headers, body, private=self._private, timeout=self._seconds
            ) as response:
                await self._read(response, answer)
        except Refused as refused:
            if answer.finish_reason is not None:
                return  # All of the answer is there.
            # To ask a second time does no harm: that something `failed` on the way is all the same.
            code = UNAVAILABLE if refused.refusal.code == FAILED else refused.refusal.code
            shown = Refused(code, self._shown(refused.refusal.message))
            if answer.started or code != UNAVAILABLE:
                raise shown from None
            raise Again(shown) from None
        self._check_whole(answer)

    def _check_whole(self, answer: Answer) -> None:
        if answer.finish_reason is None:
            refused = Refused(UNAVAILABLE, "the endpoint broke off in the middle of its answer")
            raise refused if answer.started else Again(refused)

    async def _read(self, response: Stream, answer: Answer) -> None:
        if response.status != 200:
            await self._refuse(response)
        kind = response.headers.get("Content-Type", "")
        if not kind.lower().startswith("text/event-stream"):
            said = self._shown(kind)[:60]
            text = f"the endpoint answers {said!r}, and not as an event stream"
            raise Definite(Refused(UNAVAILABLE, text))
        answer.accepted = True
        events, left = Events(), STREAM_BYTES
        async for piece in response.chunks():
            left -= len(piece)
            if left < 0:
                raise Refused(TOO_LARGE, f"the answer's stream has more than {STREAM_BYTES} bytes")
            for data in events.feed(piece):
                if data.strip() == _DONE:
                    return
                answer.add(data)

    async def _refuse(self, response: Stream) -> None:
        error = await read_error(response)
        text = self._shown(error)
        if response.status in (400, 422) and self._adapts(error):
            raise Again(Refused(UNAVAILABLE, text), 0.0)
        raise failure(response.status, text, response.headers.get("Retry-After", ""))

    def _adapts(self, error: str) -> bool:
        """Say whether an endpoint that complains gets what it wants from now on.

        Newer models of OpenAI want another name of the limit; some endpoints know no options of
        streams, and then do not say what they have counted.
        """
        if self._limit_name == _OLDER and _OLDER in error and _NEWER in error:
            self._limit_name = _NEWER
            return True
        if "stream_options" in error and "stream_options" not in self._leave_out:
            self._leave_out.add("stream_options")
            return True
        return False

    def _shown(self, text: str) -> str:
        """A text of the other side's: in one line, and without the key if it repeats it."""
        plain = text.replace(self._key, "[secret]") if self._key else text
        return "".join(each if each.isprintable() else " " for each in plain)
