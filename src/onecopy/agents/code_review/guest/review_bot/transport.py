"""Requests to GitHub: sent again where that is harmless, put off where GitHub asks for it.

Nothing here sleeps: who has to wait raises `Retry`, and the event comes again.
"""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlsplit

from onecopy_agent import Failed, GiveUp, Retry, Timeout, TooLarge, Unavailable, http

_HEADERS = {
    "accept": "application/vnd.github+json",
    "x-github-api-version": "2022-11-28",
    "user-agent": "onecopy-code-review",
}
_MAX_WAIT = 3600
_GONE = (404, 410, 422)


class Ambiguous(Exception):
    """A request that creates something has no answer: it may have been done, or not."""


class Transport:
    """Sends requests for one run, which is the event's `attempt`."""

    def __init__(self, attempt: int = 1) -> None:
        self._attempt = attempt

    def send(
        self,
        method: str,
        url: str,
        body: Any = None,
        *,
        query: dict[str, str] | None = None,
        gone: bool = False,
        forbidden: bool = False,
    ) -> http.Response | None:
        """Send what may be sent twice; None where there is nothing, and that is expected.

        Raises:
            Retry: GitHub is not there, or asks to wait.
            GiveUp: it says no.
            TooLarge: the answer is longer than the grant takes.
        """
        reply = self._tried(method, url, body, query)
        if forbidden and reply.status in (401, 403) and not _limited(reply):
            return None
        self._check(reply, url)
        if gone and reply.status in _GONE:
            return None
        if not reply.ok:
            raise _refused(method, url, reply)
        return reply

    def create(self, url: str, body: Any, *, refusable: bool = False) -> http.Response:
        """Send a POST once; a 422 is an answer where it is `refusable`.

        Raises:
            Ambiguous: look for what it creates before you send it again.
        """
        try:
            reply = http.post(url, json=body, headers=_HEADERS)
        except (Timeout, Unavailable, Failed, TooLarge) as error:
            raise Ambiguous(str(error)) from None
        if reply.status >= 500:
            raise Ambiguous(f"GitHub answered {reply.status}")
        self._check(reply, url)
        if reply.ok or (refusable and reply.status == 422):
            return reply
        raise _refused("POST", url, reply)

    def pause(self) -> float:
        """Return how long to wait before the next attempt: longer each time."""
        return float(min(_MAX_WAIT, 10 * 2 ** (self._attempt - 1)))

    def _tried(self, method: str, url: str, body: Any, query: Any) -> http.Response:
        why = ""
        for _ in range(2):
            try:
                reply = http.request(method, url, json=body, query=query, headers=_HEADERS)
            except (Timeout, Unavailable, Failed) as error:
                why = str(error)
                continue
            if reply.status < 500:
                return reply
            why = f"it answered {reply.status}"
        raise Retry(self.pause(), f"GitHub: {why}")

    def _check(self, reply: http.Response, url: str) -> None:
        if _limited(reply):
            seconds = _asked(reply) or 6 * self.pause()
            raise Retry(min(seconds, _MAX_WAIT), f"GitHub's rate limit, at {urlsplit(url).path}")


def _limited(reply: http.Response) -> bool:
    if reply.status == 429:
        return True
    if reply.status != 403:
        return False
    spent = reply.header("x-ratelimit-remaining") == "0"
    return spent or bool(reply.header("retry-after")) or "rate limit" in reply.text.lower()


def _asked(reply: http.Response) -> float:
    """Return the seconds that GitHub asks to wait; 0 where it does not say."""
    after, reset = reply.header("retry-after"), reply.header("x-ratelimit-reset")
    if after.isdigit():
        return float(after)
    if reply.header("x-ratelimit-remaining") == "0" and reset.isdigit():
        return max(1.0, float(reset) - time.time() + 1)
    return 0.0


def _refused(method: str, url: str, reply: http.Response) -> GiveUp:
    """An answer that will be the same next time."""
    try:
        said = str(reply.json()["message"])[:200]
    except Exception:
        said = reply.text[:200]
    return GiveUp(f"GitHub answered {reply.status} to {method} {urlsplit(url).path}: {said}")
