"""Ask every question in one run, with every peer beside us, and print the ratios.

``python -m benchmarks [--size smallest|full] [--only load,repeat] [--peers auto|none] [--json F]``
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, ModuleType

if not __package__:  # run as a file: make the package importable
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from rich.console import Console

from benchmarks import report
from benchmarks.answer import Answer
from benchmarks.peers.registry import OURS
from benchmarks.questions import (
    agent_memory,
    agent_queue,
    agent_server,
    agent_start,
    daemon,
    dataloader,
    guest_calls,
    guest_controller,
    guest_pool,
    guest_step,
    load,
    memory,
    model,
    module,
    nn_call,
    nn_guest,
    nn_memory,
    plan_analysis,
    plan_fit,
    plan_models,
    plan_packing,
    plan_pools,
    pretrained,
    rate,
    reopen,
    repeat,
    save_large,
    save_small,
    snapshot,
    storage,
)
from benchmarks.stage import SCALES, Stage

WIDTH = 130  # of the tables in a file or a log

QUESTIONS: dict[str, ModuleType] = {
    "load": load,
    "repeat": repeat,
    "model": model,
    "module": module,
    "pretrained": pretrained,
    "rate": rate,
    "save": save_small,
    "save_large": save_large,
    "memory": memory,
    "daemon": daemon,
    "storage": storage,
    "dataloader": dataloader,
    "snapshot": snapshot,
    "reopen": reopen,
    "guest_calls": guest_calls,
    "guest_pool": guest_pool,
    "guest_controller": guest_controller,
    "guest_step": guest_step,
    "nn_call": nn_call,
    "nn_guest": nn_guest,
    "nn_memory": nn_memory,
    "plan_analysis": plan_analysis,
    "plan_models": plan_models,
    "plan_fit": plan_fit,
    "plan_packing": plan_packing,
    "plan_pools": plan_pools,
    "agent_start": agent_start,
    "agent_memory": agent_memory,
    "agent_queue": agent_queue,
    "agent_server": agent_server,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when we had an answer to every question, fast or slow; 1 otherwise."""
    options = _options(arguments)
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return _run(console, options)
    except KeyboardInterrupt:
        console.print("interrupted; everything has been cleaned up")
        return 130


def _run(console: Console, options: argparse.Namespace) -> int:
    console.print(f"[dim]{report.LEGEND}[/]")
    with temporary() as root:
        stage = Stage(SCALES[options.size], root, options.peers == "auto")
        answers = [_ask(console, stage, name) for name in options.only]
    _report(console, answers, stage, options)
    return 1 if stage.lost & OURS else 0


@contextmanager
def temporary() -> Iterator[Path]:
    """A folder for everything, with a short path: it will hold sockets."""
    root = Path(tempfile.mkdtemp(prefix="ocb-", dir="/tmp"))
    try:
        yield root
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _ask(console: Console, stage: Stage, name: str) -> Answer:
    question = QUESTIONS[name]
    console.rule(f"[bold]{name}[/]: {(question.__doc__ or '').splitlines()[0]}", align="left")
    begin = time.monotonic()
    answer: Answer = question.ask(stage)
    report.show(console, answer)
    console.print(f"[dim]{time.monotonic() - begin:.0f} s[/]")
    return answer


def _report(
    console: Console, answers: list[Answer], stage: Stage, options: argparse.Namespace
) -> None:
    report.show_targets(console, answers, options.size)
    for note in stage.notes:
        console.print(f"note: {note}", markup=False)
    if options.json:
        Path(options.json).write_text(report.as_json(answers, options.size, stage.notes))


def _interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    raise KeyboardInterrupt


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=_summary())
    parser.add_argument("--size", choices=SCALES, default="full")
    parser.add_argument("--only", type=_names, default=list(QUESTIONS), help=",".join(QUESTIONS))
    parser.add_argument("--peers", choices=("auto", "none"), default="auto")
    parser.add_argument("--json", metavar="FILE", help="write everything that was measured")
    return parser.parse_args(arguments)


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if unknown := [name for name in names if name not in QUESTIONS]:
        raise argparse.ArgumentTypeError(f"no such question: {', '.join(unknown)}")
    return names


def _summary() -> str:
    return (__doc__ or "").splitlines()[0]


if __name__ == "__main__":
    raise SystemExit(main())
