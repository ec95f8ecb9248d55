"""`agent test`: an agent's own tests, outside of WebAssembly."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from onecopy.cli.output import hint
from onecopy.errors import InvalidArgument


def try_out(
    folder: Annotated[
        Path, typer.Argument(metavar="[DIR]", help="The folder with agent.toml.")
    ] = Path(),
    args: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- ARG...]", help="For pytest, or for node --test."),
    ] = None,
) -> None:
    """Check an agent's manifest, and run its tests: by pytest, or by Node's own runner.

    `onecopy_agent` and its `testing` are importable there. Exits with the status of the tests.
    """
    from onecopy.agents.manifest import Manifest

    manifest = Manifest.load(folder)
    line = _node(folder) if manifest.code.suffix == ".js" else _pytest(folder)
    done = subprocess.run([*line, *(args or [])], env=_environment(folder), check=False)
    if done.returncode == 0:
        hint(f"next: onecopy agent build {folder}")
    raise typer.Exit(done.returncode)


def _pytest(folder: Path) -> list[str]:
    if importlib.util.find_spec("pytest") is None:
        raise InvalidArgument("tests of Python agents are run by pytest; run `pip install pytest`")
    return [sys.executable, "-m", "pytest", str(folder)]


def _node(folder: Path) -> list[str]:
    from onecopy.agents.sdk import JAVASCRIPT

    node = shutil.which("node")
    if node is None:
        raise InvalidArgument("tests of JavaScript agents are run by Node.js 20; install it")
    tests = sorted(map(str, folder.glob("*.test.*js")))
    if not tests:
        raise InvalidArgument(f"{folder} has no tests: write agent.test.js (docs/agents-sdk.md)")
    register = (JAVASCRIPT / "onecopy_agent" / "register.js").as_uri()
    return [node, "--import", register, "--test", *tests]


def _environment(folder: Path) -> dict[str, str]:
    from onecopy.agents.sdk import PYTHON

    before = os.environ.get("PYTHONPATH")
    paths = [str(folder.resolve()), str(PYTHON), *([before] if before else [])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
