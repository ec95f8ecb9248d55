"""A crew: the worker processes of one variant, and the leader's end of their connections."""

from __future__ import annotations

from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, ForkServerProcess
from types import TracebackType
from typing import Any

from onecopy.demo.errors import DemoError
from onecopy.demo.memory import Memory, memory_of
from onecopy.demo.worker import Done, Failed, Idle, Job, Message, Order, main

PATIENCE = 300.0  # seconds: a large model on a slow disk takes its time
PARTING = 10.0  # seconds until a worker that should leave is killed


@dataclass
class _Member:
    process: ForkServerProcess
    connection: Connection[Any, Any]

    def tell(self, order: Order) -> None:
        try:
            self.connection.send(order)
        except (BrokenPipeError, ConnectionResetError):
            raise self._death() from None

    def hear(self) -> Message:
        try:
            if self.connection.poll(PATIENCE):
                return _checked(self.connection.recv())
        except (EOFError, ConnectionResetError):
            raise self._death() from None
        raise DemoError(f"a worker said nothing for {PATIENCE:.0f} s")

    def _death(self) -> DemoError:
        self.process.join(PARTING)
        return DemoError(f"a worker died (exit code {self.process.exitcode}); see its output above")

    def finish(self) -> None:
        self.process.join(PARTING)
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join()
        self.connection.close()


class Crew:
    """Worker processes that do the same thing at the same time.

    A context manager: none of its workers is alive after the `with` block.
    """

    def __init__(self, context: ForkServerContext, job: Job, size: int) -> None:
        self._members: list[_Member] = []
        try:
            for _ in range(size):
                self._members.append(_hire(context, job))
            for member in self._members:
                _expect(member.hear(), Idle)
        except BaseException:  # Ctrl-C too: nobody else knows these processes
            self.disband(kill=True)
            raise

    def __enter__(self) -> Crew:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.disband(kill=error is not None)

    def __len__(self) -> int:
        return len(self._members)

    @property
    def pids(self) -> list[int]:
        """The process ids of the workers."""
        return [member.process.pid or 0 for member in self._members]

    def memory(self) -> Memory:
        """The memory of all workers together."""
        return memory_of(self.pids)

    def all_do(self, order: Order) -> list[Done]:
        """Give every worker the same order at once, and collect what they answer."""
        for member in self._members:
            member.tell(order)
        return [_expect(member.hear(), Done) for member in self._members]

    def kill_one_at_work(self) -> int:
        """Kill a worker (SIGKILL) in the middle of its work; its exit code tells how it ended."""
        victim = self._members[0]
        victim.tell(Order.TOIL)
        _expect(victim.hear(), Done)
        victim.process.kill()
        victim.finish()
        self._members.remove(victim)
        return victim.process.exitcode or 0

    def disband(self, *, kill: bool = False) -> None:
        """See all workers off; those that do not leave in time, or all with `kill`, are killed."""
        for member in self._members:
            _dismiss(member, kill)
        for member in self._members:
            member.finish()
        self._members.clear()


def _hire(context: ForkServerContext, job: Job) -> _Member:
    ours, theirs = context.Pipe()
    process = context.Process(target=main, args=(theirs, job), daemon=True)
    try:
        process.start()
    except BaseException as error:
        # It may run although we cannot name it (Ctrl-C came between): without our end it leaves.
        ours.close()
        if isinstance(error, (EOFError, ConnectionError)):
            raise DemoError("the server that forks the workers died while it loaded") from error
        raise
    finally:
        theirs.close()  # else nobody would see that the worker died
    return _Member(process, ours)


def _dismiss(member: _Member, kill: bool) -> None:
    if kill:
        member.process.kill()
        return
    try:
        member.tell(Order.LEAVE)
    except DemoError:
        pass  # it has died already; finish() collects it


def _checked(message: Message) -> Message:
    if isinstance(message, Failed):
        raise DemoError(f"a worker failed: {message.summary}\n\n{message.details}")
    return message


def _expect(message: Message, kind: type[Any]) -> Any:
    if not isinstance(message, kind):
        raise DemoError(f"a worker answered {message!r} where {kind.__name__} was due")
    return message
