"""`guest test`: feeds a controller what a script says, and shows what it does."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from onecopy.cli.arguments import duration
from onecopy.cli.guests_arguments import (
    Config,
    ConfigText,
    MemoryLimit,
    WindowArguments,
    config_bytes,
    refs_of,
)
from onecopy.cli.guests_module import load_module
from onecopy.cli.guests_report import Report
from onecopy.cli.guests_script import Line, parse_check, read_script

_ROLLBACK: Final = 64
"""How far back a script can go."""

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
    config_text: ConfigText = "",
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
    memory: MemoryLimit = 64 << 20,
) -> None:
    """Feed a controller a script, and show after each token which ones may come next.

    Ends with status 1 if something is not as the script or --expect says.
    """
    lines = read_script(script) if script else []
    *lines, last = lines or [Line(0)]
    last = last._replace(checks=(*last.checks, *map(parse_check, expect or [])))
    with ExitStack() as stack:
        session = _session(
            stack, file, vocab, config_bytes(config, config_text), window or [], seconds, memory
        )
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
    from onecopy.guests.decoding.byte_tokenizer import byte_tokenizer
    from onecopy.guests.decoding.controller import Controller
    from onecopy.guests.decoding.grammars import Grammars
    from onecopy.guests.decoding.vocabulary import Vocabulary
    from onecopy.guests.windows.sources import sources_of

    module = load_module(file).load()
    vocabulary = stack.enter_context(Vocabulary.from_tokenizer(vocab or byte_tokenizer()))
    grammars = Grammars(vocabulary)
    sources = sources_of(refs_of(windows, stack))
    for each in sources.values():
        stack.callback(each.close)
    controller = Controller(
        module,
        vocabulary,
        config=config,
        grammars=grammars,
        memory_limit=memory,
        windows=sources,
    )
    stack.callback(controller.close)
    controller.keep(_ROLLBACK)
    return Session(controller, vocabulary, grammars, seconds)
