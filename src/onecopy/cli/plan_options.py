"""Arguments and options of `plan solve` and `plan fit`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from onecopy.cli import arguments


def _writable(path: Path | None) -> Path | None:
    """Refuse what cannot be written before there is something to write: a search takes its time."""
    if path is not None and path.is_dir():
        raise typer.BadParameter(f"{path} is a folder; name a file")
    if path is not None and not path.parent.is_dir():
        raise typer.BadParameter(f"there is no folder {path.parent}; make it first")
    return path


# Of `solve`.
Problem = Annotated[
    Path,
    typer.Argument(
        metavar="FILE.csv",
        help="Buffers: columns id, lower, upper, size; alignment, gaps, offset if needed.",
        show_default=False,
    ),
]
Capacity = Annotated[
    int | None,
    typer.Option(
        "--capacity", "-c", parser=arguments.size, metavar="SIZE", show_default=False,
        help="Any plan that fits will do. Without, the best one is looked for.",
    ),
]  # fmt: skip
Svg = Annotated[
    Path | None,
    typer.Option(
        "--svg", metavar="FILE", callback=_writable, show_default=False,
        help="Draw the plan: time across, address up.",
    ),
]  # fmt: skip
Out = Annotated[
    Path | None,
    typer.Option(
        "--out", "-o", metavar="FILE", callback=_writable, show_default=False,
        help="Write the buffers with their offsets.",
    ),
]  # fmt: skip
TimeLimit = Annotated[
    float,
    typer.Option(
        "--time-limit", "-t", parser=arguments.duration, metavar="TIME",
        help="Then the best plan so far is taken; on Ctrl-C too.",
    ),
]  # fmt: skip

# Of `fit`.
Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="What the budget is for: package.module:function that returns a planner.Plan; a file "
        "that Plan.save wrote; or a folder with a config.json of transformers (a language model, "
        "whose dimensions are then b sequences, c new tokens of each, and s slots in the cache).",
        show_default=False,
    ),
]
Budget = Annotated[
    int,
    typer.Option(
        "--budget", "-b", parser=arguments.size, metavar="SIZE", show_default=False,
        help="Bytes for weights, inputs and all that a run allocates, such as 6GiB.",
    ),
]  # fmt: skip
Maximize = Annotated[
    list[str],
    typer.Option(
        "--maximize", "-m", metavar="NAME", show_default=False,
        help="A dimension to make as large as fits; a second one once the first is settled. "
        "NAME=WEIGHT for each: the largest weighted sum.",
    ),
]  # fmt: skip
SubjectTo = Annotated[
    list[str] | None,
    typer.Option(
        "--subject-to", "-s", metavar="NAME=VALUE", show_default=False,
        help="A value (b=1) or bounds (c=512.., c=..4096, c=512..4096) of a dimension.",
    ),
]  # fmt: skip
Processes = Annotated[
    int,
    typer.Option(
        "--processes", "-p", min=1, metavar="N",
        help="The budget is for so many; weights, in a store, count once.",
    ),
]  # fmt: skip
TableBy = Annotated[
    str | None,
    typer.Option(
        "--table", "-t", metavar="NAME", show_default=False,
        help="One row for each of several values of this dimension; by the formula only.",
    ),
]  # fmt: skip
Certify = Annotated[
    bool, typer.Option("--certify", help="Run it, and find the largest values that really fit.")
]
Factory = Annotated[
    str | None,
    typer.Option(
        "--module", metavar="NAME", show_default=False,
        help="With --certify, for a saved plan: package.module:function that makes the module.",
    ),
]  # fmt: skip
Steps = Annotated[
    list[str] | None,
    typer.Option(
        "--step", metavar="N", show_default=False,
        help="With --certify: in steps of N for the last --maximize, of 1 for the others; or "
        "NAME=N for any.",
    ),
]  # fmt: skip
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
