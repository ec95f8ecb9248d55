"""Functions of others in threads."""

from __future__ import annotations

import asyncio
import threading

import pytest

from onecopy.agents.calls import TIMEOUT, UNAVAILABLE, Refused
from onecopy.agents.grants.tools.threads import Threads


def fails(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize("error", [ValueError("v"), SystemExit(1), TimeoutError("own")])
def test_what_a_function_raises_is_raised_here(error: BaseException) -> None:
    with pytest.raises(type(error)):
        asyncio.run(Threads().run("f", lambda: fails(error), 60))


def test_an_iteration_that_stops_is_an_error_too() -> None:
    with pytest.raises(RuntimeError):
        asyncio.run(Threads().run("f", lambda: next(iter(())), 60))


def test_who_does_not_return_is_left_behind_and_takes_a_place() -> None:
    threads, gate = Threads(most=2), threading.Event()

    async def play() -> list[str]:
        codes = []
        for seconds in (0.0, 0.0, 60.0):
            with pytest.raises(Refused) as caught:
                await threads.run("stuck", gate.wait, seconds)
            codes.append(caught.value.refusal.code)
        # Others are not held up.
        assert await threads.run("other", lambda: 1, 60) == 1
        return codes

    try:
        assert asyncio.run(play()) == [TIMEOUT, TIMEOUT, UNAVAILABLE]
    finally:
        gate.set()
    for thread in threading.enumerate():
        if thread.name == "onecopy-tool-stuck":
            thread.join()
    assert asyncio.run(threads.run("stuck", lambda: 2, 60)) == 2


def test_a_call_that_is_cancelled_does_not_wait() -> None:
    threads, gate = Threads(), threading.Event()

    async def play() -> None:
        task = asyncio.create_task(threads.run("stuck", gate.wait, 60))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    try:
        asyncio.run(play())
    finally:
        gate.set()
