"""How soon is the longest context under a budget found, and does it fit when it is measured?

A model of the shape of Llama 3.2 1B on the meta device, with its cache as an argument: b sequences,
of which c tokens each are new and s fit into the cache. What `fit` finds is compared with trying
all values. Then three small models are run under budgets, in processes whose allocator refuses at
the budget: the best value that was measured has to fit, and the next one must not.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from benchmarks.answer import Answer, Summary, Table, Target
from benchmarks.stage import MIB, SMALLEST, Stage

BUDGET = 6 << 30
AIMS: dict[str, tuple[Any, dict[str, Any]]] = {
    "s, c = 512": (["s"], {"c": (512, None), "b": 1}),
    "s, c = 4096": (["s"], {"c": (4096, None), "b": 1}),
    "b, then c, then s": (["b", "c", "s"], {"b": (None, 16), "c": (None, 512)}),
    "s + 8c + 1000b": ({"s": 1, "c": 8, "b": 1000}, {"b": (None, 32), "c": (None, 512)}),
    "s + 70b": ({"s": 1, "b": 70}, {"b": (None, 64), "c": (256, 512)}),
}
QUICK = ("b, then c, then s", "s + 70b")  # in which trying all takes less than a second
BUDGETS = (8 * MIB, 24 * MIB, 64 * MIB)  # beside the weights

Model = tuple[str, tuple[Any, dict[str, Any]]]
"""A title, a plan, and the values of other dimensions than the one that is made large."""


def ask(stage: Stage) -> Answer:
    """Fit a large model by its formula, and small ones by measuring."""
    small = stage.scale is SMALLEST
    aims = {title: AIMS[title] for title in QUICK} if small else AIMS
    searches, targets = _searched(aims, layers=1 if small else 16)
    measured, more = _certified([_tiny()], (MIB,)) if small else _certified(_small(), BUDGETS)
    return Answer("plan_fit", [searches, *measured], [*targets, *more])


def _searched(aims: dict[str, Any], layers: int) -> tuple[Table, list[Target]]:
    plan = _llama(layers)
    plan.bytes  # noqa: B018  # Made once, and kept: a part of the analysis.
    table = Table(f"searching {layers} layers of Llama 3.2 1B, 6 GiB", "ms", ours="fit")
    slowest, wrong = 0.0, 0
    for title, (aim, wishes) in aims.items():
        begin = time.perf_counter()
        found = plan.fit(BUDGET, maximize=aim, subject_to=wishes)
        took = time.perf_counter() - begin
        table.put_row("fit", title, Summary.of([took], 1e3))
        begin = time.perf_counter()
        known = _tried(plan, aim, wishes)
        table.put_row("trying all", title, Summary.of([time.perf_counter() - begin], 1e3))
        slowest = max(slowest, took)
        wrong += not found.exhaustive or _rank(aim, found.values) != known
    return table, [
        Target("the slowest fit, after the export", 1.0, slowest, "s"),
        Target("fits that differ from trying all", 0, wrong),
    ]


def _llama(layers: int) -> Any:
    from transformers import LlamaConfig

    from onecopy.planner.budget.decoders import of_config

    config = LlamaConfig(
        vocab_size=128256, hidden_size=2048, intermediate_size=8192, head_dim=64,
        num_hidden_layers=layers, num_attention_heads=32, num_key_value_heads=8,
        max_position_embeddings=131072, tie_word_embeddings=True, dtype="bfloat16",
    )  # fmt: skip
    return of_config(config).plan()


def _rank(aim: Any, values: dict[str, int]) -> Any:
    """What is made large, as something to compare."""
    if isinstance(aim, dict):
        return sum(weight * values[name] for name, weight in aim.items())
    return tuple(values[name] for name in aim)


def _tried(plan: Any, aim: Any, wishes: dict[str, Any]) -> Any:
    """Every b and c with every s, of which numpy finds the largest that fits."""
    import numpy as np
    import sympy

    names = ("b", "c", "s")
    symbols = [plan.dims[name].symbol for name in names]
    nbytes = sympy.lambdify(symbols, plan.bytes, "numpy")
    b, c = np.meshgrid(*(_values(plan.dims[name], wishes.get(name)) for name in ("b", "c")))
    s = _largest(lambda s: nbytes(b, c, s) <= BUDGET, b.shape, plan.dims["s"].upper)
    fits = s >= plan.dims["s"].lower
    rows = zip(b[fits].tolist(), c[fits].tolist(), s[fits].tolist(), strict=True)
    return max(_rank(aim, dict(zip(names, row, strict=True))) for row in rows)


def _values(dim: Any, wish: Any) -> Any:
    import numpy as np

    lower, upper = wish if isinstance(wish, tuple) else (wish, wish)
    return np.arange(
        max(lower or 0, dim.lower), min(upper or dim.upper, dim.upper) + 1, dtype=np.int64
    )


def _largest(fits: Callable[[Any], Any], shape: Any, most: int) -> Any:
    """For each element the largest number up to `most` that fits; 0 if none does."""
    import numpy as np

    low, high = np.zeros(shape, np.int64), np.full(shape, most + 1, np.int64)
    while (high - low > 1).any():
        middle = (low + high) // 2
        good = fits(middle)
        low, high = np.where(good, middle, low), np.where(good, high, middle)
    return low


def _certified(
    models: Iterable[Model], budgets: tuple[int, ...]
) -> tuple[list[Table], list[Target]]:
    table = Table("measured peak over the budget", "x", ours="")
    seconds = Table("certifying", "s", ours="")
    over, loose = 0, 0
    for title, (plan, wishes) in models:
        for extra in budgets:
            budget = plan.weights_nbytes + extra
            begin = time.perf_counter()
            along = "b" if "c" not in plan.dims else "s"
            found = plan.fit(budget, maximize=[along], subject_to=wishes)
            certificate = found.certify()
            column = f"weights + {extra >> 20} MiB"
            table.put_row(title, column, Summary.of([certificate.peak / budget]))
            seconds.put_row(title, column, Summary.of([time.perf_counter() - begin]))
            over += certificate.peak > budget
            beyond = certificate.beyond
            loose += beyond is None or beyond.fits
    return [table, seconds], [
        Target("certified points that were measured over their budget", 0, over),
        Target("points whose next one was not measured over it", 0, loose),
    ]


def _tiny() -> Model:
    """A model that takes a second to plan and to run, for the smallest size."""
    from torch.export import Dim

    from benchmarks.architectures import Gpt, tokens
    from onecopy import planner

    sizes = {0: Dim("b", min=1, max=1 << 16), 1: Dim("s", min=2, max=64)}
    model = Gpt(width=48, layers=1, heads=2).eval()
    plan = planner.plan(model, (tokens(2, 8),), dynamic_shapes={"tokens": sizes})
    return "GPT, 1 layer", (plan, {"s": 16})


def _small(layers: int = 4) -> Iterator[Model]:
    """Small models with weights: two decoders with caches, and the demo's encoder."""
    from transformers import GPT2Config, LlamaConfig

    from onecopy.planner.budget.decoders import of_config

    llama = LlamaConfig(
        vocab_size=8000, hidden_size=256, intermediate_size=688, num_hidden_layers=layers,
        num_attention_heads=8, num_key_value_heads=2, max_position_embeddings=1 << 20,
    )  # fmt: skip
    gpt2 = GPT2Config(
        vocab_size=8000,
        n_embd=256,
        n_layer=layers,
        n_head=8,
        n_positions=1 << 17,
        bos_token_id=0,
        eos_token_id=0,
    )
    for title, config in (("Llama", llama), ("GPT-2", gpt2)):
        yield (
            f"{title}, {layers} layers",
            (of_config(config, device="cpu").plan(), {"b": 1, "c": 32}),
        )
    yield "all-MiniLM-L6-v2, its weights", (_encoder(), {"s": 128})


def _encoder() -> Any:
    import torch
    from torch.export import Dim
    from transformers import AutoModel

    from onecopy import planner
    from onecopy.demo.checkpoint import Checkpoint

    model = AutoModel.from_pretrained(Checkpoint.find(None).directory).eval()
    ids = torch.ones(2, 8, dtype=torch.int64)
    sizes = {0: Dim("b", min=1, max=1 << 16), 1: Dim("s", min=2, max=512)}
    shapes = {"input_ids": sizes, "attention_mask": sizes}
    return planner.plan(model, (ids, ids), dynamic_shapes=shapes)
