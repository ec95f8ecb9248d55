"""The modules of a pool: compiled once, and kept as long as there is room."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from onecopy.guests.wasm.module import Module, compile_module
from onecopy.guests.workers.last_used import LastUsed

if TYPE_CHECKING:
    import os


class Modules:
    """Those that were used last, by digest; `cache` is the folder that `compile_module` uses."""

    def __init__(self, cache: str | os.PathLike[str] | None) -> None:
        self._cache = None if cache is None else Path(cache)
        self._modules: dict[str, Module] = {}
        self._used = LastUsed()

    def __len__(self) -> int:
        return len(self._modules)

    def module(self, source: Module | bytes | os.PathLike[str] | str) -> Module:
        """Return a module, compiled, from Wasm bytes or the path of a file.

        Raises:
            InvalidModule, AccessDenied: see `compile_module`.
        """
        if isinstance(source, Module):
            return source
        known = None
        if isinstance(source, bytes):
            known = self._modules.get(hashlib.sha256(source).hexdigest())
        module = known or compile_module(source, self._cache)
        self._modules[module.digest] = module
        for digest in self._used.use(module.digest, len(module.native)):
            self._modules.pop(digest, None)
        return module
