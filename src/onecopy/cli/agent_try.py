"""`agent test`: an agent's own tests, outside of WebAssembly."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from onecopy.cli.agent_arguments import StoreName
from onecopy.cli.agent_builds import announcing_builds
from onecopy.cli.agent_run import connected
from onecopy.cli.agent_trials import tried
from onecopy.cli.output import hint
from onecopy.errors import InvalidArgument

if TYPE_CHECKING:
    from onecopy.agents.manifest import Manifest

_TESTS: Final = ("**/test_*.py", "**/*_test.py", "*.test.*js")


@announcing_builds()
def try_out(
    folder: Annotated[
        Path, typer.Argument(metavar="[DIR]", help="The folder with agent.toml.")
    ] = Path(),
    args: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- ARG...]", help="For pytest, or for node --test."),
    ] = None,
    store: StoreName = "",
) -> None:
    """Run an agent's own tests, by pytest or Node, and its component with each events/*.json.

    `onecopy_agent` and its `testing` are importable in the tests. Nothing is
    reached for events: their files have what the agent is answered, and what is
    expected (docs/agents.md). Exits with the status of the tests, or 1.
    """
    from onecopy.agents.manifest import Manifest

    manifest = Manifest.load(folder)
    events = sorted(manifest.folder.glob("events/*.json"))
    if not events or _has_tests(manifest.folder):
        _run_tests(manifest, args or [])
    if events and not asyncio.run(tried(manifest, events, connected(store))):
        raise typer.Exit(1)
    hint(f"next: onecopy agent {_next(manifest) if events else 'build'} {folder}")


def _next(manifest: Manifest) -> str:
    """Return what to do with an agent that is built."""
    return "run" if (manifest.folder / "event.json").exists() else "serve"


def _has_tests(folder: Path) -> bool:
    return any(True for pattern in _TESTS for _ in folder.glob(pattern))


def _run_tests(manifest: Manifest, args: list[str]) -> None:
    folder = manifest.folder
    line = _node(folder) if manifest.code.suffix == ".js" else _pytest(folder)
    done = subprocess.run([*line, *args], env=_environment(folder), check=False)
    if done.returncode:
        raise typer.Exit(done.returncode)


def _pytest(folder: Path) -> list[str]:
    if importlib.util.find_spec("pytest") is None:
        raise InvalidArgument("tests of Python agents are run by pytest; run `pip install pytest`")
    if not _has_tests(folder):
        raise InvalidArgument(
            f"{folder} has no tests: write test_agent.py, or events such as events/first.json "
            "(docs/agents.md)"
        )
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
