"""How much memory does analysis find for TVM's cases and a decoder, and how long does it take?

The cases are those of TVM's tests of its own planning pass, as graphs of torch.export; TVM's
bytes are what those tests expect (apache/tvm, pull request 16111). The decoder has the shape of
Llama 3.2 1B with four layers, on the meta device; a small one is run, and recorded.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from benchmarks.answer import Answer, Summary, Table, Target
from benchmarks.stage import SMALLEST, Stage

LAYERS = 4
POINTS = ({"b": 1, "c": 64, "s": 256}, {"b": 4, "c": 256, "s": 1024})


def ask(stage: Stage) -> Answer:
    """Plan all of them; times are of one run each."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        arenas, over = _tvm()
        times, targets = _decoder(1 if stage.scale is SMALLEST else LAYERS)
        return Answer("plan_analysis", [arenas, times, _recorded()], [over, *targets])
    finally:
        torch.set_num_threads(threads)


def _tvm() -> tuple[Table, Target]:
    from benchmarks.tvm_cases import cases
    from onecopy.planner import plan, solve

    table = Table("arena of intermediates", "bytes")
    more = 0
    for case in cases():
        planned = plan(case.make(), case.args, dynamic_shapes=case.shapes)
        ours = solve(planned.problem(outputs=False, alignment=1)).peak
        table.put_row("TVM", case.title, Summary.of([case.tvm]))
        table.put_row("onecopy", case.title, Summary.of([ours]))
        more += ours > case.tvm
    return table, Target("TVM's cases: those with more bytes than TVM", 0, more)


def _decoder(layers: int) -> tuple[Table, list[Target]]:
    import torch

    from benchmarks import decoder
    from onecopy.planner import plan
    from onecopy.planner.analysis.peak import compiled

    shape = decoder.Shape(layers=layers)
    module, example, bounds = decoder.made(shape), decoder.example(shape), decoder.bounds(shape)
    start = time.perf_counter()
    with torch.no_grad():
        torch.export.export(module, example, dynamic_shapes=bounds, strict=False)
    exported = time.perf_counter()
    planned = plan(module, example, dynamic_shapes=bounds)
    analysed = time.perf_counter()
    form = planned.bytes
    done = time.perf_counter()
    table = Table(f"a decoder of {layers} layers", "s")
    for title, seconds in (
        ("torch.export alone", exported - start),
        ("plan, export and all", analysed - exported),
        ("its closed form", done - analysed),
    ):
        table.put_row("onecopy", title, Summary.of([seconds]))
    evaluate = compiled(form, sorted(form.free_symbols, key=str))
    return table, [Target("evaluation of the closed form", 5, _microseconds(evaluate), "µs")]


def _microseconds(evaluate: Callable[..., Any], times: int = 20_000) -> float:
    start = time.perf_counter()
    for _ in range(times):
        evaluate(1, 512, 4096)
    return (time.perf_counter() - start) / times * 1e6


def _recorded() -> Table:
    import torch

    from benchmarks import decoder
    from onecopy.planner import plan, record

    small = decoder.Shape(4, hidden=256, heads=8, groups=4, head=32, inner=1024, vocabulary=4096)
    module, example = decoder.made(small, device="cpu"), decoder.example(small, device="cpu")
    bounds = decoder.bounds(small, 4, 256, 1024)
    planned = plan(module, example, dynamic_shapes=bounds)
    table = Table("peak of a small decoder, beside weights, caches and inputs", "bytes")
    for point in POINTS:
        args, kwargs = planned.inputs_at(**point)
        with torch.no_grad():
            module(*args, **kwargs)
            recorded = record(module, *args, **kwargs).peak
        column = ", ".join(f"{name}={value}" for name, value in point.items())
        explained = planned.explain(**point)
        table.put_row("recorded", column, Summary.of([recorded]))
        table.put_row("onecopy", column, Summary.of([explained.steps[explained.peak]]))
    return table
