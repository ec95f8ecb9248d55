"""How much memory do ten programs need that use one large model, over one of them?"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack
from typing import Any

from benchmarks import models
from benchmarks.answer import Answer, Summary, Table, Target
from benchmarks.peers.registry import ROOT
from benchmarks.procfs import pss
from benchmarks.stage import MIB, Stage, total
from onecopy.nn.service.running import running

MANY = 10
# Users that import no library of models, as the processes of guests do not.
USER = """
import sys
from onecopy import nn
with nn.Host({"model": nn.Model(what="model", store=sys.argv[1])}, idle_seconds=0) as host:
    with host.load("model") as graph, graph.context() as context:
        context.set_input(0, "f32", (1, int(sys.argv[2])), bytes(4 * int(sys.argv[2])))
        context.compute()
        print(len(context.output(0)), flush=True)
        sys.stdin.read()
"""


def ask(stage: Stage) -> Answer:
    """Let one program, then ten, compute with the model, and add up the PSS of all processes."""
    sizes = stage.scale.layers
    title = f"PSS with a model of {total(sizes)}, every byte read"
    table = Table(title, "MiB", ours=f"{MANY} programs")
    side = models.side(sum(sizes))
    with models.host(stage, {"model": models.layers(sum(sizes))}), ExitStack() as stack:
        users = [_user(stack, side)]
        for count in (1, MANY):
            users += [_user(stack, side) for _ in range(count - len(users))]
            (loaded,) = running()
            holders, clients = [loaded.pid], [each.pid for each in users]
            parts = {"the model's process": pss(holders), "the programs": pss(clients)}
            for column, nbytes in {**parts, "together": sum(parts.values())}.items():
                table.put_row(f"{count} programs", column, Summary.of([nbytes / MIB]))
    one, many = (table.rows[f"{each} programs"]["together"].median for each in (1, MANY))
    work = f"{MANY} programs with one model of {total(sizes)}: memory over that of one"
    return Answer("nn_memory", [table], [Target(work, 1.1, many / one, "x")])


def _user(stack: ExitStack, side: int) -> Any:
    process = subprocess.Popen(
        [sys.executable, "-c", USER, models.STORE, str(side)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )
    stack.callback(process.wait)
    assert process.stdin is not None
    assert process.stdout is not None
    stack.callback(process.stdin.close)
    if json.loads(process.stdout.readline() or b"0") != 4 * side:
        raise RuntimeError("a user of the model failed")
    return process
