"""Python agents: componentize-py runs their imports, and keeps the memory that results."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of
from pathlib import Path
from typing import TYPE_CHECKING, Final

from onecopy.agents.sdk import PYTHON, WIT
from onecopy.agents.sdk.toolchains.sources import VENDOR
from onecopy.errors import BuildFailed

if TYPE_CHECKING:
    from onecopy.agents.sdk.toolchains.sources import Sources

_MAIN: Final = "onecopy_component"
_RUN: Final = "import sys; from componentize_py import script; sys.exit(script())"
_SECONDS: Final = 300
# Of the message: frames of ours, and all that comes after the error itself.
_OURS: Final = re.compile(r' *File "/\d+/(?:onecopy_component|onecopy_agent/).*\n(?: {4}.*\n)*')
_AFTER: Final = re.compile(r"\n+Caused by:.*", re.DOTALL)


def sdk() -> Path:
    """Return the folder of the guest library."""
    return PYTHON


def version() -> str:
    """Return the tool's version.

    Raises:
        BuildFailed: it is not installed.
    """
    try:
        return f"componentize-py {version_of('componentize-py')}"
    except PackageNotFoundError:
        raise BuildFailed(
            "Python agents are built by componentize-py; run `pip install 'onecopy[agents-build]'`"
        ) from None


def componentize(sources: Sources, stage: Path, out: Path) -> None:
    """Build what lies in `stage`.

    Raises:
        BuildFailed: the module cannot be imported in a component.
    """
    name = sources.entry.stem
    (stage / f"{_MAIN}.py").write_text(
        f"import {name}\nfrom onecopy_agent.component import world\nWitWorld = world({name})\n"
    )
    paths = [stage, PYTHON, *([stage / VENDOR] if sources.vendored else [])]
    options = [each for path in paths for each in ("-p", str(path))]
    command = [sys.executable, "-c", _RUN, "-q", "-d", str(WIT), "-w", "agent", "componentize"]
    done = subprocess.run(
        [*command, *options, _MAIN, "-o", str(out)],
        env=_environment(stage.parent),
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_SECONDS,
        cwd=stage,
    )
    if done.returncode:
        said = _message(done.stderr, sources.folder)
        raise BuildFailed(f"{sources.entry} does not build:\n{said}")


def _environment(folder: Path) -> dict[str, str]:
    """Offer the tool an empty environment: it would take modules from the one that is active."""
    (folder / "venv" / "lib" / "site-packages").mkdir(parents=True)
    return {**os.environ, "VIRTUAL_ENV": str(folder / "venv")}


def _message(text: str, folder: Path) -> str:
    """Return the guest's own traceback, with paths of the user's files."""
    said = text.rpartition("AssertionError: ")[2]
    said = _AFTER.sub("", _OURS.sub("", said))
    said = said.replace('File "/0/', f'File "{folder}/').strip()
    return said.removeprefix("Traceback (most recent call last):\n") or "no message"
