"""Asking an OpenAI-compatible endpoint: bounded in time and size, errors typed."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Generator, Iterator
from typing import Any, Final

import httpx
import msgspec

from onecopy.errors import InferenceFailed, InvalidArgument, ModelBusy, OnecopyError, PromptTooLong

_SHOWN: Final = 300
_DATA: Final = b"data:"
_DONE: Final = b"[DONE]"
_TOO_LONG: Final = ("context_length_exceeded", "maximum context length", "exceed_context_size")


Pieces = Generator[bytes, None, None]


class Endpoint:
    """A base URL and what is sent there.

    Args:
        base_url: that paths such as `chat/completions` are put behind.
        key: sent as a bearer token; none if empty. It is in no text of an error.
        timeout: seconds to wait for a connection, and for each next piece.
        total_timeout: seconds for a whole answer.
        max_nbytes: of a whole answer.
    """

    def __init__(
        self,
        base_url: str,
        *,
        key: str = "",
        timeout: float = 60,
        total_timeout: float = 600,
        max_nbytes: int = 16 << 20,
    ) -> None:
        # What is compressed could be any size once it is not.
        headers = {"Accept-Encoding": "identity"}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        self._key = key
        self._total = total_timeout
        self._most = max_nbytes
        self._client = httpx.Client(
            base_url=base_url.rstrip("/") + "/",
            timeout=timeout,
            headers=headers,
            # A connection that is kept may be closed by the other side just when it is used again:
            # a request would fail that could not be repeated safely.
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    def ask(self, path: str, body: dict[str, Any]) -> bytes:
        """Return an answer as a whole.

        Raises:
            InferenceFailed, ModelBusy, InvalidArgument, PromptTooLong: see `stream`.
        """
        with contextlib.closing(self._pieces(path, body)) as pieces:
            return b"".join(pieces)

    def stream(self, path: str, body: dict[str, Any]) -> Pieces:
        """Yield the data of server-sent events until the one that says that it is the last.

        Closing it ends the connection.

        Raises:
            ModelBusy: the endpoint asks to be asked later.
            PromptTooLong: the prompt does not fit into the model's context.
            InvalidArgument: the endpoint refuses the request; the text is its own.
            InferenceFailed: it does not answer, breaks off, or says nothing that can be used.
        """
        with contextlib.closing(self._pieces(path, body, "text/event-stream")) as pieces:
            for line in _lines(pieces):
                # Other fields of events, and comments that keep a connection open, say nothing.
                if line.startswith(_DATA):
                    data = line[len(_DATA) :].strip()
                    if data == _DONE:
                        return
                    yield data

    def _pieces(self, path: str, body: dict[str, Any], kind: str = "") -> Pieces:
        until = time.monotonic() + self._total
        left = self._most
        try:
            with self._client.stream(
                "POST",
                path,
                content=msgspec.json.encode(body),
                headers={"Content-Type": "application/json"},
            ) as response:
                self._check(response, kind)
                for piece in response.iter_raw():
                    left -= len(piece)
                    if left < 0:
                        raise InferenceFailed(
                            f"the answer has more than {self._most} bytes; raise max_nbytes"
                        )
                    if time.monotonic() > until:
                        raise InferenceFailed(
                            f"the answer took longer than {self._total:g} s; raise total_timeout"
                        )
                    yield piece
        except httpx.TimeoutException as error:
            reason = f"{self._where()} did not answer in time; raise timeout"
            raise InferenceFailed(reason) from error
        except httpx.HTTPError as error:
            raise InferenceFailed(f"{self._where()}: {self._shown(str(error))}") from error

    def _check(self, response: httpx.Response, kind: str) -> None:
        if response.status_code != 200:
            raise self._refusal(response)
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise InferenceFailed(f"{self._where()} compressed its answer, though asked not to")
        said = response.headers.get("Content-Type", "")
        if kind and not said.startswith(kind):
            raise InferenceFailed(f"{self._where()} answers {said[:40]!r}, and not as a stream")

    def _refusal(self, response: httpx.Response) -> OnecopyError:
        status = response.status_code
        text = self._shown(_message(response))
        if status in (429, 503):
            after = response.headers.get("Retry-After", "")[:40]
            when = f" after {after}{' s' if after.isdigit() else ''}" if after else " later"
            return ModelBusy(f"{self._where()} is busy, ask again{when}: {text}")
        if status in (401, 403):
            return InferenceFailed(f"{self._where()} takes no such key (api_key_env): {text}")
        if status in (400, 413, 422) and any(sign in text for sign in _TOO_LONG):
            return PromptTooLong(f"{self._where()}: {text}")
        if status in (400, 422):
            return InvalidArgument(f"{self._where()}: {text}")
        return InferenceFailed(f"{self._where()} answered {status}: {text}")

    def _where(self) -> str:
        return f"the endpoint {self._client.base_url}"

    def _shown(self, text: str) -> str:
        """A text of the other side's: short, in one line, and without the key if it repeats it."""
        plain = text.replace(self._key, "***") if self._key else text
        return "".join(each if each.isprintable() else " " for each in plain)[:_SHOWN]

    def close(self) -> None:
        """Close all connections; twice is fine."""
        self._client.close()


def _lines(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Split what arrives into lines; its end is no line, unless it ends with one."""
    rest = bytearray()
    for piece in pieces:
        first, *others = piece.split(b"\n")
        rest += first
        for other in others:
            yield bytes(rest.rstrip(b"\r"))
            rest = bytearray(other)


def _message(response: httpx.Response) -> str:
    """What a refusal says, of which only the beginning is read."""
    data = b""
    with contextlib.suppress(httpx.HTTPError):
        for piece in response.iter_raw(4096):
            data += piece
            if len(data) >= 4096:
                break
    try:
        found = msgspec.json.decode(data)["error"]
        parts = [found.get("code"), found.get("message")] if isinstance(found, dict) else [found]
        return " ".join(str(part) for part in parts if part)
    except (msgspec.DecodeError, KeyError, TypeError):
        return data.decode(errors="replace")


def finite(values: list[float]) -> list[float]:
    """Return numbers if they are such.

    Raises:
        InferenceFailed: one is infinite or NaN, or there are none.
    """
    if not values or not all(map(math.isfinite, values)):
        raise InferenceFailed("the endpoint's embedding is not a list of finite numbers")
    return values
