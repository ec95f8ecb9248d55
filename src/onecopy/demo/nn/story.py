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
from onecopy.demo.nn.visitor import Found, Visitor, pids
from onecopy.demo.sentences import SENTENCES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from onecopy.demo.checkpoint import Checkpoint

AT_ONCE: Final = 10
FEW: Final = 4
"""Sentences for each of those that run at once."""


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
    python: float = 0.0
    """The same texts in this process."""
    guest: float = 0.0
    """All texts in a guest, from its first inference on."""
    alone: Memory = Memory()
    """One guest and the process of the model."""
    together: Memory = Memory()
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
        from onecopy.guests.toolchain import COMMAND_SDK, build

        self._say("a guest is built from C …")
        source = Path(str(files("onecopy.demo.nn").joinpath("nearest.c")))
        wasm = build(source, flags=["-I", str(COMMAND_SDK)])
        self._say("the model and its tokenizer go into a store …")
        with ExitStack() as stack:
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="onecopy-demo-nn-")))
            store = stack.enter_context(_store(self._checkpoint))
            model, tokenizer = _saved(store, self._checkpoint.directory)
            embedder = nn.Model(what="embedder", backend="text")
            host = stack.enter_context(nn.Host({"embedder": embedder}, store=store, idle_seconds=0))
            self._visit(host, wasm, folder)
            self._compare(folder, model, tokenizer)
            self._crowd(host, wasm, folder)
            loaded = [each.pid for each in host.models()]
        gone = soon(lambda: not any(Path(f"/proc/{pid}").exists() for pid in [*loaded, *pids()]))
        self._check("nothing is left behind: neither guests nor the model's process", gone)
        return self._outcome

    def _visit(self, host: nn.Host, wasm: bytes, folder: Path) -> None:
        """Have one guest do it all, then another one."""
        texts = _written(folder / "texts", SENTENCES, QUESTIONS)
        self._say("a guest has the model loaded, and embeds …")
        with Visitor(host, wasm, texts, folder / "first") as visitor:
            first = visitor.listen()
        self._say("a second guest finds it loaded …")
        began = time.perf_counter()
        with Visitor(host, wasm, texts, folder / "second") as visitor:
            second = visitor.listen()
            self._outcome.guest = time.perf_counter() - began - second.seconds
            self._outcome.alone = _memory(host)
        self._outcome.first, self._outcome.second = first.seconds, second.seconds
        self._outcome.answers = first.answers
        same = (first.answers, first.vectors) == (second.answers, second.vectors)
        self._check("two guests get the same, bit for bit", same)

    def _compare(self, folder: Path, model: Any, tokenizer: Any) -> None:
        self._say("Python computes the same …")
        began = time.perf_counter()
        vectors = reference.embed(model, tokenizer, (*SENTENCES, *QUESTIONS))
        self._outcome.python = time.perf_counter() - began
        equal = (folder / "first" / "vectors").read_bytes() == vectors.tobytes()
        count = f"all {len(vectors)} vectors of {vectors.shape[1]} numbers"
        self._check(f"{count} are those of transformers in Python, bit for bit", equal)
        answers = reference.nearest(vectors[len(SENTENCES) :], vectors[: len(SENTENCES)])
        trouble = f"{self._outcome.answers} is not {answers}"
        self._check("and so are the answers", answers == self._outcome.answers, trouble)

    def _crowd(self, host: nn.Host, wasm: bytes, folder: Path) -> None:
        """Have many guests at once, and look at their memory while all are there."""
        self._say(f"{self._at_once} guests at once …")
        texts = _written(folder / "few", SENTENCES[:FEW], QUESTIONS[:1])
        with ExitStack() as stack:
            outs = [folder / f"guest {number}" for number in range(self._at_once)]
            visitors = [stack.enter_context(Visitor(host, wasm, texts, out)) for out in outs]
            found = [visitor.listen() for visitor in visitors]
            self._outcome.together = _memory(host)
            processes = {each.pid for each in host.models()}
        self._check("all of them were served by one process", len(processes) == 1)
        self._check_crowd(found, (folder / "first" / "vectors").read_bytes())
        more = self._outcome.together.shared - self._outcome.alone.shared
        claim = "no weight is in memory twice"
        self._check(claim, more < self._outcome.weights // 10, f"{more} bytes more are shared")

    def _check_crowd(self, found: Sequence[Found], vectors: bytes) -> None:
        width = len(vectors) // (len(SENTENCES) + len(QUESTIONS))
        start = len(SENTENCES) * width
        expected = vectors[: FEW * width] + vectors[start : start + width]
        wrong = sum(each.vectors != expected for each in found)
        self._check("and all got what the first one got", not wrong, f"{wrong} did not")

    def _check(self, claim: str, held: bool, trouble: str = "it does not hold") -> None:
        self._outcome.checks.append(Check(claim, held, trouble))


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
