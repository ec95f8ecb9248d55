"""From an agent's source to a component, by one of two toolchains and a cache before them."""

from __future__ import annotations

import logging
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from onecopy.agents.sdk.toolchains import cache, javascript, python
from onecopy.agents.sdk.toolchains.sources import Sources
from onecopy.errors import BuildFailed, InvalidArgument

if TYPE_CHECKING:
    from types import ModuleType

_log = logging.getLogger(__name__)
_TOOLCHAINS: Final[dict[str, ModuleType]] = {".py": python, ".js": javascript, ".mjs": javascript}


def build(source: os.PathLike[str] | str, out: os.PathLike[str] | str | None = None) -> Path:
    """Build an agent's source to a component, and return the component's path.

    `source` is the file with `handle`, in Python (.py) or JavaScript (.js, .mjs); modules beside it
    and in folders below it come along. Without `out` the component stays in the cache folder,
    where the same source, SDK and tools find it again. The first build of a source takes some
    seconds (Python 15, JavaScript 3), later ones milliseconds.

        component = build("agent.py")

    Raises:
        BuildFailed: the source cannot be built (the text says where), or a tool is not there.
        InvalidArgument: no file in a language that is known.
    """
    path = Path(source)
    toolchain = _TOOLCHAINS.get(path.suffix)
    if toolchain is None:
        raise InvalidArgument(f"{path} is no agent's source: name a file that ends in .py or .js")
    path.stat()  # a missing file is an OSError of its own
    sources = Sources.beside(path)
    kept = cache.path_of(sources, toolchain.sdk(), toolchain.version())
    if not cache.has(kept):
        _log.info("building %s; as it is now, it is built once", path)
        cache.keep(kept, _built(toolchain, sources))
    return kept if out is None else cache.publish(kept.read_bytes(), Path(out))


def _built(toolchain: ModuleType, sources: Sources) -> bytes:
    with tempfile.TemporaryDirectory(prefix="onecopy-agent-") as folder:
        stage, made = Path(folder) / "stage", Path(folder) / "agent.wasm"
        sources.copy_to(stage)
        toolchain.componentize(sources, stage, made)
        if not made.exists():
            raise BuildFailed(f"{sources.entry} was built, but no component came out")
        return made.read_bytes()
