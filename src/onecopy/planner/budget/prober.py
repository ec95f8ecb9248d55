"""This side of the process that measures: starting it, asking it, ending it."""

from __future__ import annotations

import json
import multiprocessing.spawn
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onecopy.errors import InvalidArgument, UnsupportedValue, WaitTimeout, WorkerLost
from onecopy.planner.budget import probe
from onecopy.segments import region

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(frozen=True)
class Measured:
    """One run: `peak` is weights, inputs and what was allocated, None if it did not fit.

    Of several processes, which share their weights, it is the sum.

    `rss` is the largest resident memory of the process meanwhile, `rss_before` that before: they
    have torch itself in them, and pages of weights that several processes share. They are 0 where
    the inputs alone were too many bytes to be made.
    """

    values: dict[str, int]
    fits: bool
    weights: int
    inputs: int
    allocated: int | None
    rss: int
    rss_before: int
    why: str = ""
    processes: int = 1

    @property
    def peak(self) -> int | None:
        """Bytes at the peak."""
        if self.allocated is None:
            return None
        return self.weights + self.processes * (self.inputs + self.allocated)


class Prober:
    """A process that runs a plan's module under budgets; end it with `close()`, or `with`.

    It is a fresh interpreter, not a fork: OpenMP does not survive forks. The module goes there
    pickled, by way of memory, or is made there by `factory`: "package.module:function", or what
    else `onecopy plan fit` takes.
    """

    def __init__(self, plan: Any, factory: str | None = None, timeout: float = 600) -> None:
        if probe.active:
            raise InvalidArgument(
                "certify was called again while its process imports the main module; put the call "
                'under `if __name__ == "__main__":`'
            )
        if plan.module is None and not factory:
            raise InvalidArgument(
                "the plan was loaded without its module: Plan.load(path, module) gives it one, or "
                'factory="package.module:function" makes it there'
            )
        self._timeout, self._plan = timeout, plan
        files = [_file("onecopy-plan", _plan_writer(plan))]
        try:
            files += [] if factory else [_file("onecopy-module", _module_writer(plan.module))]
            self._start(files, _setup(plan.module, factory, files))
        finally:
            for fd in files:
                os.close(fd)

    def _start(self, files: list[int], setup: dict[str, Any]) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-c",
                    f"from {probe.__name__} import main; main({theirs.fileno()})",
                ],
                pass_fds=[*files, theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=sys.stderr.fileno() if _has_file(sys.stderr) else subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        self._connection = Connection(ours.detach())
        try:
            self._ask(setup)  # It has the files open now, or cannot be started.
        except BaseException:
            self.close()
            raise

    def measure(self, values: Mapping[str, int], budget: int, processes: int = 1) -> Measured:
        """Run the module once at these values, under a process's part of the budget.

        Where the inputs alone are more, it is not run: to make them could take all memory.

        Raises:
            InvalidArgument: the module failed, for another reason than the budget.
            WorkerLost: the process ended, for instance for memory that is not torch's.
            WaitTimeout: it took longer than `timeout` seconds.
        """
        inputs = _inputs_nbytes(self._plan, values)
        if processes * inputs > budget:
            weights, why = self._plan.weights_nbytes, "its inputs are more alone"
            return Measured(dict(values), False, weights, inputs, None, 0, 0, why, processes)
        answer = self._ask({"values": dict(values), "budget": budget, "processes": processes})
        if text := answer.get("failed") or answer.get("refused"):
            where = ", ".join(f"{name} = {value}" for name, value in values.items())
            raise InvalidArgument(f"the module cannot be run at {where}: {text}")
        allocated = answer.pop("allocated", None)
        return Measured(dict(values), allocated=allocated, processes=processes, **answer)

    def _ask(self, question: dict[str, Any]) -> Any:
        try:
            self._connection.send_bytes(json.dumps(question).encode())
            if not self._connection.poll(self._timeout):
                self.close()
                raise WaitTimeout(
                    f"the measuring process gave no answer in {self._timeout} s; raise `timeout`, "
                    "or certify smaller values"
                )
            return json.loads(self._connection.recv_bytes())
        except (EOFError, ConnectionError) as error:
            code = self._process.wait()
            raise WorkerLost(
                f"the measuring process ended with status {code}; its standard error may say why. "
                "Ended by signal 9, it needed memory beside torch's: lower the budget"
            ) from error

    def close(self) -> None:
        """End the process; a second time does nothing."""
        self._connection.close()
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _inputs_nbytes(plan: Any, values: Mapping[str, int]) -> int:
    """Return the bytes of the arguments at these values, by the plan; state may be among them."""
    names = {each.path for each in plan.examples.inputs}
    sizes = [each.size for each in (*plan.inputs, *plan.state) if each.name in names]
    at = {plan.dims[name].symbol: value for name, value in values.items()}
    return sum(int(size.subs(at)) for size in sizes)


def _setup(module: Any, factory: str | None, files: list[int]) -> dict[str, Any]:
    import torch

    return {
        "sys_path": sys.path,
        "main": None if factory or not _from_main(module) else _main(),
        "threads": torch.get_num_threads(),
        "factory": factory,
        "plan": files[0],
        "module": files[-1],
    }


def _from_main(module: Any) -> bool:
    return any(type(each).__module__ == "__main__" for each in module.modules())


def _main() -> dict[str, Any]:
    """Return how the other process finds the classes of the main module.

    Raises:
        UnsupportedValue: it has no file: an interactive session, or what came by a pipe.
    """
    data = multiprocessing.spawn.get_preparation_data("onecopy-probe")
    found = {key: data[key] for key in data if key.startswith("init_main_from")}
    path = found.get("init_main_from_path")
    if not found or (path is not None and not Path(path).is_file()):
        raise UnsupportedValue(
            "the module's class is in a main module without a file, where the measuring process "
            'cannot find it: put it into one, or give factory="package.module:function"'
        )
    return found


def _plan_writer(plan: Any) -> Callable[[Any], Any]:
    from onecopy.planner.analysis.saving import encoded

    return lambda file: file.write(encoded(plan))


def _module_writer(module: Any) -> Callable[[Any], Any]:
    import torch

    if any(each.is_meta for each in [*module.parameters(), *module.buffers()]):
        raise UnsupportedValue(
            "the module is on the meta device, so it has no weights to run with; give "
            'factory="package.module:function", which makes it with some'
        )
    inner = getattr(module, "_orig_mod", module)

    def write(file: Any) -> None:
        try:
            torch.save(inner, file)
        except Exception as error:  # Whatever the classes' own ways of pickling raise.
            raise UnsupportedValue(
                f"the module cannot be sent to the measuring process ({error}); define its classes "
                'at the top of an importable file, or give factory="package.module:function"'
            ) from error

    return write


def _file(label: str, write: Callable[[Any], Any]) -> int:
    fd = region.create(label)
    try:
        with open(fd, "wb", closefd=False) as file:
            write(file)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _has_file(stream: Any) -> bool:
    try:
        return int(stream.fileno()) >= 0
    except (AttributeError, OSError, ValueError):
        return False
