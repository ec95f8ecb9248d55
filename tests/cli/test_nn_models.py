# ruff: noqa: F401, F811
"""`nn models` lists what processes hold, also those that are too busy to say so."""

from __future__ import annotations

import json
import threading

from tests.cli.commands import run
from tests.nn.conftest import gate, load


def test_without_models_it_says_so() -> None:
    assert "no model is loaded" in run("nn", "models").stderr


def test_models_are_listed_with_their_users(load) -> None:
    graph = load("affine")
    (row,) = json.loads(run("nn", "models", "--json").stdout)
    assert (row["name"], row["users"]) == ("affine", 1)
    assert row["memory"] > 0
    heading, line = run("nn", "models").stdout.splitlines()
    assert heading.split() == ["name", "backend", "users", "memory", "pid"]
    assert line.split()[0] == "affine"
    assert line.split()[-1] == str(row["pid"])
    graph.close()


def test_one_that_computes_is_busy(load, gate) -> None:
    with load("affine", gate=gate.path).context() as context:
        context.set_input(0, "u8", (1,), b"1")
        thread = threading.Thread(target=context.compute)
        thread.start()
        gate.await_arrival()
        line = run("nn", "models").stdout.splitlines()[1].split()
        assert (line[0], line[2]) == ("affine", "busy")
        gate.open()
        thread.join()
