"""Which files belong to an agent: modules beside its source, but no tests and no environments."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from onecopy.errors import BuildFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

VENDOR: Final = "vendor"
"""A folder of packages (`pip install --target vendor`), of which every file is taken."""
_OTHERS: Final = {"tests", "test", "node_modules", "__pycache__", VENDOR}
_MAX_FILES: Final = 2000
_MAX_NBYTES: Final = 32 << 20


@dataclass(frozen=True)
class Sources:
    """The files of one agent, by their names below its folder."""

    folder: Path
    entry: Path
    files: dict[str, bytes]

    @classmethod
    def beside(cls, entry: Path) -> Sources:
        """Read the entry file and the modules beside and below it.

        Raises:
            BuildFailed: they are too many, as in a folder that is not the agent's own.
        """
        suffixes = {".py"} if entry.suffix == ".py" else {".js", ".mjs", ".json"}
        folder = entry.resolve().parent
        files, nbytes = {}, 0
        for path in _modules(folder, suffixes):
            files[path.relative_to(folder).as_posix()] = path.read_bytes()
            nbytes += path.stat().st_size
            if len(files) > _MAX_FILES or nbytes > _MAX_NBYTES:
                raise BuildFailed(
                    f"{folder} has more than {_MAX_FILES} modules or {_MAX_NBYTES >> 20} MiB of "
                    "them; put the agent in a folder of its own"
                )
        files[entry.name] = entry.read_bytes()
        return cls(folder, entry, dict(sorted(files.items())))

    @property
    def vendored(self) -> bool:
        """Whether there are packages in `vendor`."""
        return any(name.startswith(f"{VENDOR}/") for name in self.files)

    def copy_to(self, stage: Path) -> None:
        """Write all files below a new folder."""
        for name, data in self.files.items():
            path = stage / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)


def _modules(folder: Path, suffixes: set[str]) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            if path.name == VENDOR:
                yield from (each for each in sorted(path.rglob("*")) if each.is_file())
            elif _is_the_agents(path):
                yield from _modules(path, suffixes)
        elif path.suffix in suffixes and path.is_file() and not _is_a_test(path.name):
            yield path


def _is_the_agents(folder: Path) -> bool:
    if folder.is_symlink() or folder.name.startswith(".") or folder.name in _OTHERS:
        return False
    return not (folder / "pyvenv.cfg").exists()


def _is_a_test(name: str) -> bool:
    return name.startswith("test_") or name == "conftest.py" or ".test." in name
