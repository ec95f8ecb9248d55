"""Workers: runs of an agent, one after another and at once, and what ends them."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest
import wasmtime

from onecopy.agents.calls import Call
from onecopy.agents.outcome import ERROR, FAILED, LOST, OK
from onecopy.agents.worker import remote
from onecopy.agents.worker.spawn import spawn
from onecopy.errors import InvalidEvent, InvalidModule, StoreClosed
from tests.agents.worker.hosts import Scripted, Silent

# An agent that does something when it is made; it returns 1.
BEFORE = """(component
  (import "onecopy:agent/llm@0.1.0" (instance $llm
    (type $e (record (field "code" string) (field "message" string)))
    (export "error" (type $error (eq $e)))
    (export "chat" (func (param "request" string) (result (result string (error $error)))))))
  (import "onecopy:agent/log@0.1.0" (instance $log
    (export "step" (func (param "name" string)))))
  (core module $Memory (memory (export "m") 1)
    (data (i32.const 96) "1") (data (i32.const 68) "\\60\\00\\00\\00\\01")
    (func (export "r") (param i32 i32 i32 i32) (result i32) (i32.const 128)))
  (core instance $memory (instantiate $Memory))
  (alias core export $memory "m" (core memory $m))
  (alias core export $memory "r" (core func $r))
  (core func $ask (canon lower (func $llm "chat") (memory $m) (realloc $r)))
  (core func $step (canon lower (func $log "step") (memory $m)))
  (core module $Main
    (import "h" "ask" (func $ask (param i32 i32 i32)))
    (import "h" "step" (func $step (param i32 i32)))
    (func $start START)
    (start $start)
    (func (export "f") (param i32 i32) (result i32) (i32.const 64)))
  (core instance $main (instantiate $Main (with "h" (instance
    (export "ask" (func $ask)) (export "step" (func $step))))))
  (func (export "handle") (param "event" string) (result (result string (error string)))
    (canon lift (core func $main "f") (memory $m) (realloc $r))))"""


def test_an_agent_returns_its_answer(workers):
    async def main():
        async with workers() as pool:
            outcome = await pool.run('"echo"', Scripted())
            assert (outcome.status, outcome.text) == (OK, '"echo"')
            assert outcome.started_ms > 0
            assert outcome.memory > 0
            assert (pool.started, pool.running, pool.lost) == (1, 0, 0)

    asyncio.run(main())


def test_an_agent_gets_the_answer_of_its_host(workers):
    async def main():
        async with workers() as pool:
            host = Scripted('"answered"')
            outcome = await pool.run('"call"', host)
            assert (outcome.status, outcome.text) == (OK, '"answered"')
            assert host.calls == [Call("llm.chat", ['"call"'])]

    asyncio.run(main())


def test_an_error_of_the_agent_is_an_outcome(workers):
    async def main():
        async with workers() as pool:
            outcome = await pool.run('"x"', Scripted())
            assert (outcome.status, outcome.text) == (ERROR, '"x"')

    asyncio.run(main())


@pytest.mark.parametrize(
    ("limits", "texts"),
    [
        (
            {"cpu_seconds": 0.1, "log": 1000},
            {'"loop"': "raise `cpu_seconds`", '"write for ever"': "raise `cpu_seconds`"},
        ),
        (
            {"seconds": 0.2},
            {'"loop"': "raise `seconds`", '"Sleep"': "raise `seconds`"},
        ),
        (
            {"calls": 10, "memory": 32 << 20},
            {
                '"flood of calls"': "raise `calls`",
                '"recurse"': "recursed too deeply",
                '"grow"': "trapped",
                '"trap"': "unreachable",
                '"kill after a call"': "unreachable",
                '"big answer"': "4 MiB",
                '"not UTF-8"': "trapped",
                '"pointer out of bounds"': "trapped",
                '"json"': "no JSON",
            },
        ),
    ],
)
def test_what_an_agent_does_wrong_fails_its_run_only(workers, limits, texts):
    async def main():
        async with workers(**limits) as pool:
            pids = pool.pids
            for event, text in texts.items():
                outcome = await pool.run(event, Scripted())
                assert outcome.status == FAILED
                assert text in outcome.text
                if "seconds" not in limits:  # where a busy machine may be too slow for any run
                    assert (await pool.run('"echo"', Scripted())).status == OK
            assert pool.pids == pids

    asyncio.run(main())


def test_a_flood_of_the_log_ends_with_a_note(workers):
    async def main():
        async with workers(cpu_seconds=0.1, log=1000) as pool:
            host = Scripted()
            await pool.run('"write"', host)
            assert host.calls[0] == Call("log.step", ['"write"'])
            assert "raise `log`" in host.calls[-1].arguments[1]
            assert len(host.calls) < 40

    asyncio.run(main())


def test_arguments_that_are_too_long_are_refused(workers):
    async def main():
        async with workers() as pool:
            host = Scripted()
            outcome = await pool.run('"a"', host)
            assert outcome.status == ERROR
            assert "4 MiB" in outcome.text
            assert not host.calls

    asyncio.run(main())


def test_an_answer_that_is_too_long_is_refused(workers):
    async def main():
        async with workers() as pool:
            outcome = await pool.run('"call"', Scripted("x" * (17 << 20)))
            assert outcome.status == ERROR
            assert "too long" in outcome.text

    asyncio.run(main())


def test_an_answer_of_the_wrong_type_fails_the_run(workers):
    async def main():
        async with workers() as pool:
            outcome = await pool.run('"call"', Scripted({"not": "a string"}))
            assert outcome.status == FAILED
            assert "it needs a string" in outcome.text

    asyncio.run(main())


def test_long_events_and_answers_pass(workers):
    async def main():
        async with workers() as pool:
            text = '"e' + "ä" * (1 << 20) + '"'
            assert (await pool.run(text, Scripted())).text == text
            assert (await pool.run('"call"', Scripted(text))).text == text
            with pytest.raises(InvalidEvent, match="16 MiB"):
                await pool.run("x" * (17 << 20), Scripted())

    asyncio.run(main())


def test_many_runs_wait_for_their_host_at_once(workers):
    async def main():
        async with workers() as pool:
            hosts = [Silent() for _ in range(50)]
            tasks = [asyncio.create_task(pool.run('"call"', host)) for host in hosts]
            await asyncio.gather(*(host.asked.wait() for host in hosts))
            assert pool.running == 50
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert [host.cancelled for host in hosts] == [1] * 50
            assert (await pool.run('"echo"', Scripted())).status == OK
            assert pool.running == 0

    asyncio.run(main())


def test_no_more_run_at_once_than_may(workers):
    async def main():
        async with workers(concurrent=1) as pool:
            first, second = Silent(), Silent()
            tasks = [asyncio.create_task(pool.run('"call"', host)) for host in (first, second)]
            await first.asked.wait()
            assert pool.started == 1
            tasks[0].cancel()
            await second.asked.wait()
            tasks[1].cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(main())


def test_mixed_errors_of_runs_at_once_stay_apart(workers):
    async def main():
        async with workers(cpu_seconds=5) as pool:
            events = ['"trap"', '"echo"', '"x"', '"recurse"', '"call"', '"kill"'] * 6
            outcomes = await asyncio.gather(
                *(pool.run(event, Scripted('"answer"')) for event in events)
            )
            seen = [(each.status, each.text[:20]) for each in outcomes]
            assert seen == seen[:6] * 6
            statuses = [each.status for each in outcomes[:6]]
            assert statuses == [FAILED, OK, ERROR, FAILED, OK, FAILED]

    asyncio.run(main())


def test_a_killed_worker_loses_its_runs_and_another_starts(workers):
    async def main():
        async with workers() as pool:
            hosts = [Silent(), Silent()]
            tasks = [asyncio.create_task(pool.run('"call"', host)) for host in hosts]
            await asyncio.gather(*(host.asked.wait() for host in hosts))
            os.kill(pool.pids[0], signal.SIGKILL)
            outcomes = await asyncio.gather(*tasks)
            assert [each.status for each in outcomes] == [LOST, LOST]
            assert "signal 9" in outcomes[0].text
            assert [host.cancelled for host in hosts] == [1, 1]
            assert (await pool.run('"echo"', Scripted())).status == OK
            assert pool.lost == 2

    asyncio.run(main())


class Killing(Scripted):
    """Kills the worker at a call, before or after it is answered."""

    def __init__(self, pool, after: bool) -> None:
        super().__init__()
        self.pool, self.after = pool, after

    async def answer(self, call):
        for pid in self.pool.pids:
            if self.after:
                asyncio.get_running_loop().call_soon(os.kill, pid, signal.SIGKILL)
            else:
                os.kill(pid, signal.SIGKILL)
                await asyncio.Event().wait()  # until the worker's end cancels it
        return await super().answer(call)


@pytest.mark.parametrize("event", ['"call"', '"flood"', '"kill"'])
@pytest.mark.parametrize("after", [False, True])
def test_a_worker_killed_at_a_call_loses_the_run(workers, event, after):
    async def main():
        async with workers(calls=1 << 20) as pool:
            assert (await pool.run(event, Killing(pool, after))).status in (LOST, OK, FAILED)
            assert (await pool.run('"echo"', Scripted())).status == OK

    asyncio.run(main())


@pytest.mark.parametrize("event", ['"Sleep"', '"loop"'])
def test_a_worker_killed_while_its_guest_works_or_sleeps_loses_the_run(workers, event):
    async def main():
        async with workers() as pool:
            host = Silent()
            waits = asyncio.create_task(pool.run('"call"', host))
            task = asyncio.create_task(pool.run(event, Scripted()))
            await host.asked.wait()
            os.kill(pool.pids[0], signal.SIGKILL)
            assert [each.status for each in await asyncio.gather(waits, task)] == [LOST, LOST]
            assert (await pool.run('"echo"', Scripted())).status == OK

    asyncio.run(main())


def test_a_worker_killed_before_it_is_ready_is_replaced(workers, monkeypatch):
    def killed(*arguments):
        spawned = spawn(*arguments)
        spawned.process.kill()
        return spawned

    async def main():
        async with workers() as pool:
            os.kill(pool.pids[0], signal.SIGKILL)
            while pool.pids:
                await asyncio.sleep(0)
            with monkeypatch.context() as patch:
                patch.setattr(remote, "spawn", killed)
                outcome = await pool.run('"echo"', Scripted())
                assert outcome.status == LOST
                assert "did not start" in outcome.text
            assert (await pool.run('"echo"', Scripted())).status == OK

    asyncio.run(main())


@pytest.mark.parametrize("event", ['"loop"', '"Sleep"', '"write"', '"flood"'])
def test_a_cancelled_run_ends_in_the_worker(workers, event):
    async def main():
        async with workers(calls=1 << 30, log=1 << 30) as pool:
            host = Silent()
            waits = asyncio.create_task(pool.run('"call"', host))
            task = asyncio.create_task(pool.run(event, Scripted()))
            await host.asked.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            # The other goes on, and the worker gives the cancelled one up.
            while pool.unfinished > 1:
                await asyncio.sleep(0.001)
            assert not waits.done()
            waits.cancel()
            await asyncio.gather(waits, return_exceptions=True)

    asyncio.run(main())


def test_what_a_host_raises_ends_the_run(workers):
    class Broken:
        async def answer(self, call):
            raise ValueError(call.name)

    async def main():
        async with workers() as pool:
            with pytest.raises(ValueError, match=r"llm\.chat"):
                await pool.run('"call"', Broken())
            assert (await pool.run('"echo"', Scripted())).status == OK

    asyncio.run(main())


def test_workers_share_the_runs(workers):
    async def main():
        async with workers(processes=2) as pool:
            hosts = [Silent() for _ in range(4)]
            tasks = [asyncio.create_task(pool.run('"call"', host)) for host in hosts]
            await asyncio.gather(*(host.asked.wait() for host in hosts))
            os.kill(pool.pids[0], signal.SIGKILL)
            done, waiting = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            while len(done) < 2:
                done, waiting = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            assert (len(done), len(waiting)) == (2, 2)
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    asyncio.run(main())


def test_closing_ends_the_runs_and_the_processes(workers):
    async def main():
        async with workers() as pool:
            host = Silent()
            task = asyncio.create_task(pool.run('"call"', host))
            await host.asked.wait()
            pid = pool.pids[0]
            await pool.close()
            assert (await task).status == LOST
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)
            with pytest.raises(StoreClosed):
                await pool.run('"echo"', Scripted())

    asyncio.run(main())


def test_a_component_that_cannot_begin_is_refused_at_the_start(workers):
    async def main():
        async with workers(memory=1 << 16):
            pass

    with pytest.raises(InvalidModule, match="raise `memory`"):
        asyncio.run(main())


@pytest.mark.parametrize(
    "start",
    [
        "unreachable",
        "(loop $l (br $l))",
        "(call $ask (i32.const 0) (i32.const 0) (i32.const 8))",
        "(call $step (i32.const 0) (i32.const 0))",
    ],
)
def test_what_an_agent_does_before_its_first_event_is_seen_by_its_runs(workers, start):
    wasm = wasmtime.wat2wasm(BEFORE.replace("START", start))

    async def main():
        async with workers(component=bytes(wasm), cpu_seconds=0.1) as pool:
            host = Scripted('"x"')
            outcome = await pool.run('"echo"', host)
            assert outcome.status == (OK if "call" in start else FAILED)
            assert len(host.calls) == start.count("call")

    if start == "unreachable":
        with pytest.raises(InvalidModule, match="trapped"):
            asyncio.run(main())
    else:
        asyncio.run(main())


def test_a_component_that_is_no_agent_is_refused(workers):
    async def main():
        async with workers(component=b"\0asm\r\0\1\0"):
            pass

    with pytest.raises(InvalidModule, match="exports no function `handle`"):
        asyncio.run(main())
