"""Files in /dev/shm that processes of the demo made, to see whether any stays behind.

Others use that directory too, so a new file there proves nothing. These are taken for the
demo's own: what its processes had open or mapped, and what carries one of their ids in its
name, as the files of torch, of multiprocessing and of stores do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

SHM = Path("/dev/shm")


def shm_files(folder: Path = SHM) -> set[str]:
    """The paths of all files in `folder`, at any depth."""
    return {str(path) for path in folder.rglob("*")}


def used_by(pids: Iterable[int], folder: Path = SHM) -> set[str]:
    """Those that one of these processes has open or mapped now."""
    places = [Path(f"/proc/{pid}") for pid in pids]
    paths = (path for place in places for path in (*_opened(place), *_mapped(place)))
    return {path for path in paths if path.startswith(f"{folder}/")}


def named_after(pids: Iterable[int], folder: Path = SHM) -> set[str]:
    """Those with the id of one of these processes in their name."""
    ids = set(map(str, pids))
    return {path for path in shm_files(folder) if ids.intersection(re.findall(r"\d+", path))}


def _opened(process: Path) -> Iterator[str]:
    for link in _entries(process / "fd"):
        try:
            yield str(link.readlink())
        except OSError:  # closed meanwhile, as is the descriptor that listed these entries
            continue


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:  # the process has just ended
        return []


def _mapped(process: Path) -> Iterator[str]:
    try:
        lines = (process / "maps").read_text().splitlines()
    except OSError:  # the process has just ended
        return
    yield from (line.split(maxsplit=5)[-1] for line in lines)
