"""Finding componentize-qjs: beside the agent, on the PATH, in the cache; or npm fetches it."""

from __future__ import annotations

import errno
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from onecopy.agents.sdk.toolchains import cache
from onecopy.errors import BuildFailed

VERSION: Final = "0.4.5"
NAME: Final = "componentize-qjs"
_SECONDS: Final = 120
_LOCK: Final = Path(__file__).with_name("npm")


def command(folder: Path) -> list[str]:
    """Return the command line that runs the tool, for an agent in `folder`.

    Raises:
        BuildFailed: it is nowhere, and npm is not there or cannot fetch it.
    """
    beside = [each / "node_modules" / ".bin" / NAME for each in (folder, *folder.parents)]
    found = next((each for each in beside if each.exists()), None) or shutil.which(NAME)
    return [str(found or _fetched())]


def _fetched() -> Path:
    home = cache.folder(f"{NAME}-{VERSION}")
    tool = home / "node_modules" / ".bin" / NAME
    if not tool.exists():
        # Into a folder of its own: another build may be fetching it, too.
        with tempfile.TemporaryDirectory(dir=home.parent, prefix=f".{NAME}-") as fresh:
            _fetch(Path(fresh))
            _put(Path(fresh), home, tool)
    return tool


def _put(fresh: Path, home: Path, tool: Path) -> None:
    """Put what was fetched in its place, unless another build has been quicker."""
    if (home / "node_modules").exists() and not tool.exists():
        # Who sweeps caches may leave the folders.
        (home / "node_modules").rename(fresh / "swept")
    try:
        (fresh / "node_modules").rename(home / "node_modules")
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise


def _fetch(home: Path) -> None:
    """Install what the lock file names; npm compares its hashes."""
    for name in ("package.json", "package-lock.json"):
        shutil.copy(_LOCK / name, home)
    line = [_npm(), "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(home)]
    try:
        done = subprocess.run(
            line, capture_output=True, text=True, errors="replace", timeout=_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise BuildFailed(f"npm did not fetch {NAME} in {_SECONDS} s; {_HINT}") from None
    if done.returncode:
        raise BuildFailed(f"npm could not fetch {NAME}; {_HINT}:\n{done.stderr.strip()[-1000:]}")


def _npm() -> str:
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise BuildFailed(
            f"JavaScript agents are built by {NAME}, which needs Node.js 18 or newer; install "
            f"that with npm, or put {NAME} {VERSION} on the PATH"
        )
    return npm


_HINT: Final = f"offline, run `npm install {NAME}@{VERSION}` in the agent's folder beforehand"
