"""The demo's plot: guests ask a model of the store, one, another, ten; Python computes the same."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import onecopy
from onecopy import nn
from onecopy.demo.check import Check, soon
from onecopy.demo.memory import Memory, memory_of
from onecopy.demo.nn import reference
from onecopy.demo.nn.questions import QUESTIONS
from onecopy.demo.nn.visitor import Visitor, pids
from onecopy.demo.sentences import SENTENCES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from onecopy.demo.checkpoint import Checkpoint
    from onecopy.demo.nn.reference import Vectors

AT_ONCE: Final = 10
FEW: Final = 4
"""Sentences for each of those that run at once."""
PATIENCE: Final = 30
"""Seconds in which the process of a model has to end."""


@dataclass
class Outcome:
    """What was seen; times in seconds, sizes in bytes."""

    weights: int
    """What the model's weights take in the store."""
    answers: list[int] = field(default_factory=list)
    """The numbers of the sentences that the guest found nearest to the questions."""
    first: float = 0.0
    """From the start of the first guest to its first inference, the model's loading included."""
    second: float = 0.0
    """The same for the next one."""
    rest: float = 0.0
    """All further texts of the first guest."""
    python: float = 0.0
    """All texts in this process."""
    alone: Memory = field(default_factory=Memory)
    """One guest and the process of the model."""
    together: Memory = field(default_factory=Memory)
    """So many guests, and the process of the model."""
    checks: list[Check] = field(default_factory=list)


class Story:
    """Plays it once; `say` is told what is going on."""

    def __init__(self, checkpoint: Checkpoint, at_once: int, say: Callable[[str], None]) -> None:
        self._checkpoint = checkpoint
        self._at_once = at_once
        self._say = say
        self._outcome = Outcome(checkpoint.nbytes)

    def play(self) -> Outcome:
        """Run everything; what does not hold is a failed check in the outcome."""
        self._say("a guest is built from C …")
        wasm = _built()
        self._say("the model and its tokenizer go into a store …")
        with ExitStack() as stack:
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="onecopy-demo-nn-")))
            store = stack.enter_context(_store(self._checkpoint))
            model, tokenizer = _saved(store, self._checkpoint.directory)
            # As many threads as Python has here: sums are rounded in another order by more.
            embedder = nn.Model(what="embedder", backend="text", options={"threads": 1})
            host = stack.enter_context(nn.Host({"embedder": embedder}, store=store, idle_seconds=0))
            vectors = self._visit(host, wasm, folder, stack)
            self._compare(vectors, model, tokenizer)
            self._crowd(host, wasm, folder, vectors)
            model_pids = [each.pid for each in host.models()]
        self._check_end(model_pids)
        return self._outcome

    def _visit(self, host: nn.Host, wasm: bytes, folder: Path, stack: ExitStack) -> Vectors:
        """Have one guest embed all texts and answer the questions; return its vectors."""
        texts = _written(folder / "texts", SENTENCES, QUESTIONS)
        self._say("a guest has the model loaded, and embeds …")
        with Visitor(host, wasm, texts, folder / "first") as visitor:
            found = visitor.listen()
            # From now on it stays loaded, though guests come and go.
            stack.enter_context(host.load("embedder"))
        self._outcome.first, self._outcome.rest = found.seconds, found.rest
        self._outcome.answers = found.answers
        return reference.vectors(found.vectors, len(SENTENCES) + len(QUESTIONS))

    def _compare(self, vectors: Vectors, model: Any, tokenizer: Any) -> None:
        self._say("Python computes the same …")
        began = time.perf_counter()
        expected = reference.embed(model, tokenizer, (*SENTENCES, *QUESTIONS))
        self._outcome.python = time.perf_counter() - began
        size = f"{len(expected)} vectors of {expected.shape[1]} numbers"
        claim = f"all {size} are those of transformers in Python, bit for bit"
        self._check(claim, vectors.tobytes() == expected.tobytes(), "they differ")
        answers = reference.nearest(expected[len(SENTENCES) :], expected[: len(SENTENCES)])
        trouble = f"{self._outcome.answers} is not {answers}"
        self._check("and so are the answers", answers == self._outcome.answers, trouble)

    def _crowd(self, host: nn.Host, wasm: bytes, folder: Path, vectors: Vectors) -> None:
        """Have another guest, then many at once; look at their memory while all are there."""
        texts = _written(folder / "few", SENTENCES[:FEW], QUESTIONS[:1])
        self._say("a second guest finds the model loaded …")
        with Visitor(host, wasm, texts, folder / "second") as visitor:
            found = [visitor.listen()]
            self._outcome.second = found[0].seconds
            self._outcome.alone = _memory(host)
        self._say(f"{self._at_once} guests at once …")
        with ExitStack() as stack:
            outs = [folder / f"guest {number}" for number in range(self._at_once)]
            visitors = [stack.enter_context(Visitor(host, wasm, texts, out)) for out in outs]
            found += [visitor.listen() for visitor in visitors]
            self._outcome.together = _memory(host)
            processes = {each.pid for each in host.models()}
        self._check("all guests were served by one process", len(processes) == 1)
        expected = vectors[[*range(FEW), len(SENTENCES)]].tobytes()
        wrong = sum(each.vectors != expected for each in found)
        self._check("and all of them got the same, bit for bit", not wrong, f"{wrong} did not")
        more = self._outcome.together.shared - self._outcome.alone.shared
        claim = "no weight is in memory twice"
        self._check(claim, more < self._outcome.weights // 10, f"{more} bytes more are shared")

    def _check_end(self, model_pids: Sequence[int]) -> None:
        def alive() -> list[int]:
            return [pid for pid in (*model_pids, *pids()) if Path(f"/proc/{pid}").exists()]

        claim = "nothing is left behind: neither guests nor the model's process"
        self._check(claim, soon(lambda: not alive(), PATIENCE), f"there are {alive()}")

    def _check(self, claim: str, held: bool, trouble: str = "it does not hold") -> None:
        self._outcome.checks.append(Check(claim, held, trouble))


def _built() -> bytes:
    from onecopy.guests.toolchain import COMMAND_SDK, build

    source = files("onecopy.demo.nn").joinpath("nearest.c")
    return build(Path(str(source)), flags=["-I", str(COMMAND_SDK)])


def _store(checkpoint: Checkpoint) -> onecopy.Store:
    capacity = 2 * checkpoint.nbytes + (64 << 20)
    return onecopy.start(f"demo-nn-{os.getpid()}", capacity=capacity)


def _saved(store: onecopy.Store, directory: Path) -> tuple[Any, Any]:
    from transformers import AutoModel, AutoTokenizer

    model = AutoModel.from_pretrained(directory).eval()
    tokenizer = AutoTokenizer.from_pretrained(directory)
    store.save_module("embedder", model)
    nn.save_tokenizer(store, "embedder", tokenizer)
    return model, tokenizer


def _written(folder: Path, sentences: Sequence[str], questions: Sequence[str]) -> Path:
    folder.mkdir()
    for name, texts in (("sentences.txt", sentences), ("questions.txt", questions)):
        (folder / name).write_text("".join(f"{text}\n" for text in texts))
    return folder


def _memory(host: nn.Host) -> Memory:
    return memory_of([*(each.pid for each in host.models()), *pids()])
