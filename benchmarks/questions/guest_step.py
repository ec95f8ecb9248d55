"""What does a step of 40 guided sequences cost, from the signal to the last bitmask?"""

from __future__ import annotations

import importlib.util
import json
import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.answer import Answer, Summary, Table, Target, over
from benchmarks.procfs import waited_seconds
from benchmarks.rulers import Responder, ask_all
from benchmarks.stage import FULL, Stage
from benchmarks.vocabularies import tokenizer_json, word
from onecopy.errors import BuildFailed
from onecopy.guests import Allowed, Controllers, Pool, Step, Vocabulary, build

SEQUENCES, WORKERS = 40, 2
STEPS, WARM = 60, 20  # of one round; not counted
SIZES = {32_000: (0.5, 0.4), 128_000: (1.0, 1.5)}
"""Vocabularies: milliseconds to reach for a step, and for biases on top of it."""
VETOED = 40
OURS, BIASED, NATIVE, XGRAMMAR = "onecopy", "with biases", "llguidance", "xgrammar"
SPIN = 0.0002
BARE = f"{WORKERS} bare processes, as long as guests at their quickest"
SCHEMA = json.dumps(
    {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "age": {"type": "integer"},
                "tags": {"type": "array", "items": {"type": "string"}},
            },
            "required": ["name", "age", "tags"],
            "additionalProperties": False,
        },
        "minItems": 10_000,
    }
)
GUEST = """
#include "onecopy.h"
static uint32_t mask[OC_MASK_WORDS(131072)];
static int grammar;
OC_EXPORT int init_prompt(void) {
    static char schema[4096];
    grammar = oc_grammar_new(OC_JSON_SCHEMA, schema, oc_config(schema, sizeof schema));
    return grammar < 0;
}
OC_EXPORT int mid_process(void) {
    if (oc_grammar_step(grammar, mask) != OC_OK) return oc_stop();
    oc_mask_forbid(mask, VETOED);
    return oc_allow(mask);
}
"""
now = time.perf_counter


@dataclass
class Times:
    """Of each step, in seconds."""

    step: list[float] = field(default_factory=list)
    tell: list[float] = field(default_factory=list)
    """Writing what was appended, before the signal and with it."""
    guests: list[float] = field(default_factory=list)
    """What the guests of the busiest worker took, all of them."""
    native: list[float] = field(default_factory=list)
    xgrammar: list[float] = field(default_factory=list)
    waited: list[float] = field(default_factory=list)
    """How long that worker which waited longest for a core waited for it, by the kernel's count."""
    bare: list[tuple[float, float]] = field(default_factory=list)
    """Bare processes beside it, and how long each of them computes."""


def ask(stage: Stage) -> Answer:
    """Follow made-up documents under a schema and a veto; native engines make the same masks."""
    wasm = guest(stage)
    total = Table(f"a step of {SEQUENCES} sequences, {WORKERS} workers", "ms", ours=OURS)
    spent = Table("where the time of a step goes", "ms", ours="in the guests of one worker")
    tails = Table("the same at the 99th percentile", "ms", ours=OURS)
    answer = Answer("guest_step", [total, tails, spent])
    if wasm is None:
        return answer
    for size in SIZES if stage.scale == FULL else (2_000,):
        with Vocabulary.from_tokenizer(tokenizer_json(size), size=size) as vocabulary:
            plain = _decode(stage, vocabulary, wasm, biases=False)
            biased = _decode(stage, vocabulary, wasm, biases=True)
        _fill(total, tails, f"{size:,} tokens", plain, biased)
        _explain(spent, f"{size:,} tokens", plain)
        answer.targets.extend(_targets(total, size))
    return answer


def guest(stage: Stage) -> bytes | None:
    """The compiled controller: a schema from its configuration, and a veto."""
    with tempfile.TemporaryDirectory(dir=stage.root) as folder:
        path = Path(folder) / "veto.c"
        path.write_text(GUEST.replace("VETOED", str(VETOED)))
        try:
            return build(path)
        except BuildFailed as error:
            stage.notes.append(f"guest_step: {error}")
            return None


def _decode(stage: Stage, vocabulary: Vocabulary, wasm: bytes, *, biases: bool) -> Times:
    times = Times()
    steps = WARM + stage.scale.rounds * STEPS
    documents = _documents(vocabulary, steps)
    native = _Native(vocabulary)
    xgrammar = _Xgrammar(vocabulary) if importlib.util.find_spec("xgrammar") else None
    with (
        _bare() as bare,
        Pool(workers=WORKERS, guest_ms=100, step_ms=2000, cache=stage.root / "modules") as pool,
        Controllers(None, vocabulary, pool, batch=SEQUENCES, biases=biases) as controllers,
    ):
        sequences = [controllers.open(wasm, SCHEMA) for _ in range(SEQUENCES)]
        tokens: list[list[int]] = [[] for _ in sequences]
        for count in range(steps):
            if count == WARM:
                times = Times()
            times.native.append(native.step(tokens))
            if xgrammar is not None:
                times.xgrammar.append(xgrammar.step(tokens))
            spin = min(times.guests, default=SPIN)  # without what they waited for
            times.bare.append((ask_all(bare, spin), spin))
            before = _waited(pool)
            begin = now()
            controllers.begin(dict(zip(sequences, tokens, strict=True)))
            times.tell.append(now() - begin)
            step = controllers.finish()
            pairs = zip(before, _waited(pool), strict=True)
            times.waited.append(max(after - earlier for earlier, after in pairs))
            times.step.append(step.seconds)
            times.guests.append(_busiest(controllers, sequences))
            for each, mask in zip(sequences, native.masks, strict=True):
                _check(step, each, mask)
            tokens = [[each[count]] for each in documents]
    return times


@contextmanager
def _bare() -> Iterator[list[Responder]]:
    with ExitStack() as stack:
        yield [stack.enter_context(closing(Responder())) for _ in range(WORKERS)]


def _waited(pool: Pool) -> list[float]:
    return [waited_seconds(each.pid) for each in pool.workers]


def _busiest(controllers: Controllers, sequences: list[Any]) -> float:
    spent: dict[Any, float] = {}
    for each in sequences:
        took = controllers.batch.board.nanoseconds_of(each.line) / 1e9
        spent[each.station] = spent.get(each.station, 0.0) + took
    return max(spent.values())


def _documents(vocabulary: Vocabulary, steps: int) -> list[list[int]]:
    """What each sequence becomes: a mix of names, numbers and structure, as a model would write."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(vocabulary.tokenizer_text())
    dice = random.Random(1)

    def person() -> dict[str, object]:
        tags = [word(dice) for _ in range(dice.randint(0, 3))]
        return {"name": f"{word(dice)} {word(dice)}", "age": dice.randint(0, 99), "tags": tags}

    texts = [json.dumps([person() for _ in range(steps // 4)]) for _ in range(SEQUENCES)]
    return [tokenizer.encode(text).ids[:steps] for text in texts]


def _check(step: Step, sequence: Any, native: Any) -> None:
    """Compare a mask with the native engine's, which knows no veto."""
    import numpy as np

    assert isinstance(step.outcomes[sequence], Allowed), step.outcomes[sequence]
    native[VETOED // 32] &= ~np.uint32(1 << VETOED % 32)
    assert (step.mask_array[sequence.row] == native).all(), "the masks differ"


class _Native:
    """llguidance, called as its own users do: all sequences at once, on as many threads."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        import llguidance
        import numpy as np

        tokenizer = llguidance.LLTokenizer(
            vocabulary.tokenizer_text(), n_vocab=vocabulary.size, eos_token=vocabulary.eos
        )
        grammar = llguidance.LLMatcher.grammar_from_json_schema(SCHEMA)
        first = llguidance.LLMatcher(tokenizer, grammar)
        self._matchers = [(first.deep_copy(), i) for i in range(SEQUENCES)]
        self._executor = llguidance.LLExecutor(WORKERS)
        self.masks = np.zeros((SEQUENCES, vocabulary.mask_words), np.uint32)

    def step(self, tokens: list[list[int]]) -> float:
        begin = now()
        if tokens[0]:
            pairs = [(each, t[0]) for (each, _), t in zip(self._matchers, tokens, strict=True)]
            self._executor.consume_token_par(pairs)
        count, words = self.masks.shape
        self._executor.unsafe_compute_mask_ptr(
            self._matchers, self.masks.ctypes.data, 4 * words, count
        )
        return now() - begin


class _Xgrammar:
    """xgrammar, likewise."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        import xgrammar

        information = xgrammar.TokenizerInfo(
            vocabulary.tokens(), vocab_size=vocabulary.size, stop_token_ids=[vocabulary.eos]
        )
        compiled = xgrammar.GrammarCompiler(information).compile_json_schema(SCHEMA)
        self._matchers = [xgrammar.GrammarMatcher(compiled) for _ in range(SEQUENCES)]
        self._masks = xgrammar.allocate_token_bitmask(SEQUENCES, vocabulary.size)
        self._batch = xgrammar.BatchGrammarMatcher(max_threads=WORKERS)

    def step(self, tokens: list[list[int]]) -> float:
        begin = now()
        if tokens[0]:
            self._batch.batch_accept_token(self._matchers, [each[0] for each in tokens])
        self._batch.batch_fill_next_token_bitmask(self._matchers, self._masks)
        return now() - begin


def _fill(total: Table, tails: Table, column: str, plain: Times, biased: Times) -> None:
    rows = {OURS: plain.step, BIASED: biased.step, NATIVE: plain.native, XGRAMMAR: plain.xgrammar}
    rows[BARE] = [took for took, _ in plain.bare]
    for title, times in rows.items():
        if times:
            total.put_row(title, column, Summary.of(times, 1e3))
            tail = sorted(times)[int(0.99 * len(times))]
            tails.put_row(title, column, Summary.of([tail], 1e3))


def _explain(spent: Table, column: str, times: Times) -> None:
    rest = [step - guests for step, guests in zip(times.step, times.guests, strict=True)]
    spent.put_row(spent.ours, column, Summary.of(times.guests, 1e3))
    spent.put_row("signals, waiting for the cores", column, Summary.of(rest, 1e3))
    spent.put_row("a worker waiting for a core", column, Summary.of(times.waited, 1e3))
    bare = [took - spin for took, spin in times.bare]
    spent.put_row("the same of bare processes", column, Summary.of(bare, 1e3))
    spent.put_row("before: telling what was appended", column, Summary.of(times.tell, 1e3))


def _targets(total: Table, size: int) -> list[Target]:
    column = f"{size:,} tokens"
    rows = {title: total.rows[title][column].median for title in (OURS, BIASED, NATIVE)}
    step, biases = SIZES.get(size, (0.5, 0.4))
    more = rows[BIASED] - rows[OURS]
    return [
        Target(f"a step of {SEQUENCES} sequences, {column}", step, rows[OURS], "ms"),
        Target(f"the same over llguidance on {WORKERS} threads, {column}", 1.5,
               over(rows[OURS], rows[NATIVE])),
        Target(f"dense biases on every row, on top of it, {column}", biases, more, "ms"),
    ]  # fmt: skip
