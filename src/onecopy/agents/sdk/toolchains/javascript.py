"""JavaScript agents: componentize-qjs puts their modules into QuickJS, and keeps its memory."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Final

from onecopy.agents.sdk import JAVASCRIPT, WIT
from onecopy.agents.sdk.toolchains import qjs
from onecopy.errors import BuildFailed

if TYPE_CHECKING:
    from pathlib import Path

    from onecopy.agents.sdk.toolchains.sources import Sources

_MAIN: Final = "onecopy_component.mjs"
_SECONDS: Final = 120
_WRAPPING: Final = re.compile(r"^Error: :? ?(?:Failed to [^:]*: )*(?:Error: )?")
_OF_THE_STAGE: Final = re.compile(r"(?<=[( '\"])/(?=[^ ()'\"]*\.m?js\b)(?!node_modules/)")


def sdk() -> Path:
    """Return the folder of the guest library."""
    return JAVASCRIPT


def version() -> str:
    """Return the tool's version, which is pinned."""
    return f"componentize-qjs {qjs.VERSION}"


def componentize(sources: Sources, stage: Path, out: Path) -> None:
    """Build what lies in `stage`.

    Raises:
        BuildFailed: a module cannot be loaded, or the tool is not there and cannot be got.
    """
    shutil.copytree(JAVASCRIPT, stage / "node_modules", dirs_exist_ok=True)
    (stage / _MAIN).write_text(
        f'import * as agent from "./{sources.entry.name}";\n'
        'import { world } from "onecopy_agent/component";\n'
        "export const handle = world(agent);\n"
    )
    options = ["--sync", "--world", "agent", "--wit", str(WIT), "--module-root", str(stage)]
    done = subprocess.run(
        [*qjs.command(sources.folder), *options, "--js", str(stage / _MAIN), "--output", str(out)],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_SECONDS,
        cwd=stage,
    )
    if done.returncode:
        said = _message(done.stderr or done.stdout, stage, sources.folder)
        raise BuildFailed(f"{sources.entry} does not build:\n{said}")


def _message(text: str, stage: Path, folder: Path) -> str:
    said = _WRAPPING.sub("", text.strip()).replace(str(stage), str(folder))
    return _OF_THE_STAGE.sub(f"{folder}/", said) or "no message"
