"""Work in threads beside an event loop."""

from __future__ import annotations

import threading

from onecopy.nn.service.aside import Aside
from onecopy.store.daemon.loop import Loop


def test_work_is_done_elsewhere_and_told_in_the_loops_thread() -> None:
    loop, told = Loop(), []
    aside = Aside(loop)
    future = aside.run(threading.get_ident)

    def done() -> None:
        told.append(threading.get_ident())
        loop.stop()

    aside.when_done(future, done)
    loop.run()
    assert told == [threading.get_ident()]
    assert future.result() != threading.get_ident()


def test_many_wait_at_the_same_time_and_the_loop_goes_on() -> None:
    loop, told = Loop(), []
    aside = Aside(loop)
    together = threading.Barrier(4)

    def done(number: int) -> None:
        told.append(number)
        if len(told) == 4:
            loop.stop()

    # The first three wait for the last, which is begun by the loop while they do.
    for number in range(3):
        aside.when_done(aside.run(together.wait), lambda number=number: done(number))
    loop.after(0, lambda: aside.when_done(aside.run(together.wait), lambda: done(3)))
    loop.run()
    assert sorted(told) == [0, 1, 2, 3]


def test_what_fails_is_done_too() -> None:
    loop = Loop()
    aside = Aside(loop)
    future = aside.run(lambda: 1 // 0)
    aside.when_done(future, loop.stop)
    loop.run()
    assert isinstance(future.exception(), ZeroDivisionError)
