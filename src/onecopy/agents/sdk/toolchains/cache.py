"""Built components, by what they were made of, in a folder of this user's alone."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from onecopy.agents.sdk import WIT
from onecopy.errors import BuildFailed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from onecopy.agents.sdk.toolchains.sources import Sources

_KEPT: Final = 32
"""A Python component has 18 MB, and every edit makes another one."""
_MAGIC: Final = b"\0asm"


def folder(name: str) -> Path:
    """Return a folder of this user's: `$XDG_CACHE_HOME/onecopy/NAME`."""
    from onecopy.guests.wasm.module import default_cache, private_folder

    return private_folder(default_cache().with_name(name))


def path_of(sources: Sources, sdk: Path, version: str) -> Path:
    """Return where a component of these sources, this SDK and this tool is kept."""
    digest = hashlib.sha256()
    for part in _parts(sources, sdk, version):
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return folder("agents") / f"{digest.hexdigest()}.wasm"


def _parts(sources: Sources, sdk: Path, version: str) -> Iterator[bytes]:
    yield version.encode()
    yield sources.entry.name.encode()
    for name, data in sources.files.items():
        yield from (name.encode(), data)
    for path in _files(sdk, WIT, Path(__file__).parent):
        yield from (path.name.encode(), path.read_bytes())


def _files(*folders: Path) -> Iterable[Path]:
    for each in folders:
        for path in sorted(each.rglob("*")):
            if path.is_file() and path.suffix != ".pyc":
                yield path


def has(path: Path) -> bool:
    """Whether the cache has a component; a machine that died may have left a file without bytes."""
    try:
        with path.open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except FileNotFoundError:
        return False


def keep(path: Path, component: bytes) -> None:
    """Put a component into the cache, and let go of those that were made longest ago.

    Raises:
        BuildFailed: there is no room.
    """
    try:
        publish(component, path)
    except OSError as error:
        raise BuildFailed(
            f"the component cannot be kept in {path.parent} ({error.strerror}); make room, or set "
            "XDG_CACHE_HOME to another folder"
        ) from None
    kept = sorted(path.parent.glob("*.wasm"), key=_changed, reverse=True)
    for each in kept[_KEPT:]:
        each.unlink(missing_ok=True)


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # another build has removed it
        return 0.0


def publish(component: bytes, out: Path) -> Path:
    """Write a file that appears when it is complete: somebody may be running the old one."""
    fd, name = tempfile.mkstemp(dir=out.parent, prefix=f".{out.name}.")
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(component)
            file.flush()
            os.fsync(fd)
            os.fchmod(fd, 0o644)
        Path(name).replace(out)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return out
