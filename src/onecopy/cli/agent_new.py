"""`agent new`, `agent init`: folders with an agent that works as it is."""

from __future__ import annotations

import enum
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from onecopy.cli.output import hint, stdout
from onecopy.errors import EntryExists, InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,63}")


class Language(str, enum.Enum):
    """What agents are written in."""

    PY = "py"
    JS = "js"


class Ready(str, enum.Enum):
    """Agents that come with onecopy."""

    CODE_REVIEW = "code-review"


def new(
    name: Annotated[
        Path, typer.Argument(metavar="NAME", help="The folder to make.", show_default=False)
    ],
    lang: Annotated[Language, typer.Option("--lang", help="Its language.")] = Language.PY,
) -> None:
    """Make a folder with an agent, its manifest, events, a test and a README."""
    from onecopy.agents.sdk import TEMPLATES

    if not _NAME.fullmatch(name.name):
        raise InvalidArgument(
            f"{name.name!r} is no name for an agent: a-z, 0-9 and -, a letter first, at most 64"
        )
    template = TEMPLATES / lang.value
    files = {
        path.relative_to(template).as_posix(): path.read_text().replace("NAME", name.name)
        for path in sorted(template.rglob("*"))
        if path.is_file() and path.suffix != ".pyc"
    }
    _make(name, files)
    hint(f"next: onecopy agent test {name}")
    hint(f"then: onecopy agent run {name} --event {name / 'event.json'}")


def init(
    agent: Annotated[Ready, typer.Argument(metavar="AGENT", help="code-review.")],
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DIR]", help="The folder to make; AGENT if not given.", show_default=False
        ),
    ] = None,
    github: Annotated[
        str, typer.Option(metavar="URL", help="GitHub's API; of an Enterprise: https://HOST/api/v3")
    ] = "https://api.github.com",
    llm: Annotated[
        str,
        typer.Option(
            metavar="URL", help="An OpenAI-compatible API, or store:NAME for a local model."
        ),
    ] = "https://api.openai.com/v1",
    model: Annotated[str, typer.Option(metavar="NAME", help="The model's name.")] = "gpt-5-mini",
) -> None:
    """Make a folder with an agent that comes with onecopy, its settings filled in."""
    from onecopy.agents.code_review import setup

    made = folder or Path(agent.value)
    _make(made, setup.files(github=github, llm=llm, model=model))
    for line in setup.next_steps(made):
        hint(line)


def _make(folder: Path, files: Mapping[str, str]) -> None:
    if folder.exists() and any(folder.iterdir()):
        raise EntryExists(f"{folder} exists already; choose another name, or remove it")
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    stdout().print(f"made {folder}: {', '.join(files)}")
