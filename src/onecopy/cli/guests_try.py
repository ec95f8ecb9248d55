"""`guest test`: feeds a controller what a script says, and shows what it does."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from onecopy.cli.arguments import duration, size
from onecopy.cli.guests_report import Report
from onecopy.cli.guests_run import (
    Config,
    WindowArguments,
    config_bytes,
    load_module,
    open_windows,
)
from onecopy.cli.guests_script import Line, parse_check, read_script

if TYPE_CHECKING:
    from onecopy.cli.guests_session import Session


def try_out(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="A controller: .wasm, or .c to build.", show_default=False
        ),
    ],
    vocab: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A tokenizer.json; without it each byte is a token."),
    ] = None,
    config: Config = None,
    prompt: Annotated[str, typer.Option("--prompt", "-p", help="The text before.")] = "",
    script: Annotated[
        Path | None,
        typer.Option("--script", "-s", metavar="FILE", help="What is fed, and must be seen."),
    ] = None,
    expect: Annotated[
        list[str] | None,
        typer.Option("--expect", "-e", metavar="CHECK", help="What must be seen at the end."),
    ] = None,
    window: WindowArguments = None,
    seconds: Annotated[
        float, typer.Option(parser=duration, metavar="DURATION", help="How long a call may take.")
    ] = 1.0,
    memory: Annotated[
        int,
        typer.Option(parser=size, metavar="SIZE", help="How much memory of its own it may use."),
    ] = 64 << 20,
) -> None:
    """Feed a controller a script, and show after each token which ones may come next.

    Ends with status 1 if something is not as the script or --expect says.
    """
    lines = read_script(script) if script else []
    *lines, last = lines or [Line(0)]
    last = last._replace(checks=(*last.checks, *map(parse_check, expect or [])))
    with ExitStack() as stack:
        session = _session(stack, file, vocab, config_bytes(config), window or [], seconds, memory)
        report = Report(session, script.name if script else "")
        report.run(prompt, [*lines, last])
    if report.problems:
        raise typer.Exit(1)


def _session(
    stack: ExitStack,
    file: Path,
    vocab: Path | None,
    config: bytes,
    windows: list[str],
    seconds: float,
    memory: int,
) -> Session:
    from onecopy.cli.guests_session import Session
    from onecopy.guests.controller import Controller
    from onecopy.guests.grammar import Grammars
    from onecopy.guests.vocabulary import Vocabulary

    module = load_module(file).load()
    vocabulary = stack.enter_context(Vocabulary.from_tokenizer(vocab or byte_tokenizer()))
    grammars = Grammars(vocabulary)
    sources = open_windows(windows, stack)
    controller = Controller(
        module,
        vocabulary,
        config=config,
        grammars=grammars,
        memory_limit=memory,
        windows=sources,
    )
    stack.callback(controller.close)
    return Session(controller, vocabulary, grammars, seconds)


def byte_tokenizer() -> str:
    """Return a tokenizer.json with a token for each byte, and one that ends a text."""
    printable_bytes = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable_bytes]
    letters = {byte: chr(byte) for byte in printable_bytes}
    letters |= {byte: chr(256 + i) for i, byte in enumerate(others)}
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    end = {"id": 256, "content": "</s>", "special": True, "single_word": False}
    end |= dict.fromkeys(("lstrip", "rstrip", "normalized"), False)
    model = {
        "type": "BPE",
        "vocab": {letters[byte]: byte for byte in range(256)},
        "merges": [],
    }
    return json.dumps(
        {
            "version": "1.0",
            "added_tokens": [end],
            "pre_tokenizer": {**level, "use_regex": False},
            "decoder": level,
            "model": model,
        }
    )
