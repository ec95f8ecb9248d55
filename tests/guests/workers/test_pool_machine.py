"""A pool, its guests and its workers' ends in any order, beside a model of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from onecopy import GuestError, GuestTimeout, LimitReached, WorkerLost
from onecopy.guests.wasm.module import Module
from onecopy.guests.workers.handle import Guest
from onecopy.guests.workers.pool import SERVICES, Pool
from tests.guests.segment import Segment
from tests.guests.waiting import eventually

GUEST = """
(module
  (import "onecopy" "control" (func $control (result i32)))
  (memory (export "memory") 1)
  (global $calls (mut i32) (i32.const 0))
  (func (export "count") (result i32)
    (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
    (global.get $calls))
  (func (export "read") (result i32)
    (i32.load (i32.load (i32.add (call $control) (i32.const 1064)))))
  (func (export "loop") (loop (br 0))))
"""


@dataclass(eq=False)
class Known:
    """What the model knows of a guest."""

    guest: Guest
    tenant: str
    pid: int
    calls: int = 0
    shows: bool = False
    dead: bool = False


class PoolMachine(RuleBasedStateMachine):
    """Two workers, two tenants; a guest behaves as if it were alone until its worker ends."""

    pool: Pool
    module: Module
    segment: Segment
    guests = Bundle("guests")

    def __init__(self) -> None:
        super().__init__()
        self.known: list[Known] = []
        self.killed: set[int] = set()

    def is_lost(self, known: Known) -> bool:
        return known.pid in self.killed

    @rule(target=guests, tenant=st.sampled_from(["one", "two"]))
    def open(self, tenant: str) -> Any:
        try:
            guest = Guest(self.module, pool=self.pool, tenant=tenant)
        except LimitReached:
            others = [each for each in self.known if each.tenant != tenant]
            alive = {each.guest.worker.index for each in others if not self.is_lost(each)}
            assert alive == {0, 1}
            return multiple()
        known = Known(guest, tenant, guest.worker.pid)
        assert known.pid not in self.killed
        self.known.append(known)
        return known

    @rule(known=guests)
    def count(self, known: Known) -> None:
        if known.dead or self.is_lost(known):
            with pytest.raises((GuestError, WorkerLost)):
                known.guest.call("count")
            return
        known.calls += 1
        assert known.guest.call("count") == known.calls

    @rule(known=guests)
    def loop(self, known: Known) -> None:
        if known.dead or self.is_lost(known):
            return
        with pytest.raises(GuestTimeout):
            known.guest.call("loop", timeout=0.001)
        known.dead = True

    @rule(known=guests, number=st.integers(0, 1 << 20))
    def look(self, known: Known, number: int) -> None:
        if known.dead or self.is_lost(known):
            return
        if not known.shows:
            known.guest.open_window("w", self.segment.readable)
            known.shows = True
        os.pwrite(self.segment.fd, number.to_bytes(4, "little"), 0)
        assert known.guest.call("read") == number

    @rule(known=consumes(guests))
    def close(self, known: Known) -> None:
        self.known.remove(known)
        known.guest.close()

    @rule(known=guests)
    def kill(self, known: Known) -> None:
        if self.is_lost(known):
            return
        worker = known.guest.worker
        os.kill(worker.pid, 9)
        self.killed.add(worker.pid)
        eventually(lambda: not worker.alive)

    @invariant()
    def no_worker_has_two_tenants(self) -> None:
        tenants: dict[int, set[str]] = {}
        for each in self.known:
            tenants.setdefault(each.pid, set()).add(each.tenant)
        assert all(len(each) == 1 for each in tenants.values())

    @invariant()
    def guests_are_counted(self) -> None:
        for worker in self.pool.workers:
            assert worker.guests == sum(each.guest.worker is worker for each in self.known)

    def teardown(self) -> None:
        for each in self.known:
            each.guest.close()


@pytest.fixture
def segment() -> Iterator[Segment]:
    with Segment(4096) as segment:
        yield segment


def test_any_order_of_events_leaves_every_guest_as_if_it_were_alone(wat, segment) -> None:
    # Some thirty workers are started, which takes a minute and more beside other work: they import
    # no more than they need.
    with Pool(workers=2, guest_ms=5000, grace_ms=20_000, services=SERVICES[:1]) as pool:
        PoolMachine.pool, PoolMachine.segment = pool, segment
        PoolMachine.module = pool.module(wat(GUEST))
        run_state_machine_as_test(
            PoolMachine,
            settings=settings(
                max_examples=12,
                stateful_step_count=25,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
