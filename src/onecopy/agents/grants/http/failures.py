"""What goes wrong between two machines, as codes of the WIT and what to do next."""

from __future__ import annotations

import asyncio

from onecopy.agents.calls import FAILED, TIMEOUT, UNAVAILABLE, Refused
from onecopy.agents.manifest.url import Url


def failures() -> tuple[type[BaseException], ...]:
    """Return the classes of errors that `explain` knows."""
    import aiohttp

    return (aiohttp.ClientError, asyncio.TimeoutError, OSError)


def explain(error: BaseException, target: Url) -> Refused:
    """Say what became of a request.

    `unavailable` means that nothing was sent; after `timeout` and `failed` the server may have done
    what it was asked for.
    """
    import aiohttp

    origin = target.origin
    # The texts of the library name addresses, which are not the guest's business.
    if isinstance(error, (aiohttp.ClientSSLError, aiohttp.ServerFingerprintMismatch)):
        reason = getattr(error, "certificate_error", None) or getattr(error, "os_error", error)
        what = getattr(reason, "verify_message", "") or getattr(reason, "reason", "") or "TLS"
        return Refused(UNAVAILABLE, f"{origin} cannot be trusted: {what}; nothing was sent")
    if isinstance(error, (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)):
        return Refused(UNAVAILABLE, f"{origin} cannot be connected to; nothing was sent, try later")
    if isinstance(error, asyncio.TimeoutError):
        return Refused(
            TIMEOUT,
            f"{origin} took too long; it may have done what was asked: look before you ask again, "
            "or raise timeout of the grant in agent.toml",
        )
    return Refused(
        FAILED,
        f"{origin} closed the connection, or its answer is no HTTP; it may have done what was "
        "asked: look before you ask again",
    )
