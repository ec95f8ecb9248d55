"""Wasm modules: checked, compiled once per machine, and kept as native code in a private folder.

What the folder holds is machine code that workers run, so it is believed only if the folder and
the file are this user's alone; users hand over Wasm, never compiled modules. A file's name is the
hash of the Wasm, the engine's version and its settings. Compiling runs in a process of its own with
limits on time and memory: a hostile module may keep the compiler busy for minutes.
"""

from __future__ import annotations

import errno
import functools
import hashlib
import logging
import os
import stat
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from onecopy.errors import AccessDenied, InvalidModule
from onecopy.extras import require
from onecopy.guests.wasm import abi
from onecopy.guests.wasm.engine import SETTINGS, engine
from onecopy.units import format_size

if TYPE_CHECKING:
    from collections.abc import Mapping

    import wasmtime

_log = logging.getLogger(__name__)

MAGIC: Final = b"\0asm\1\0\0\0"
MAX_NBYTES: Final = 64 << 20
MAX_NATIVE_NBYTES: Final = 256 << 20
"""Compiled, a module may be fifty times as long; the engine and its workers keep some of them."""
COMPILE_SECONDS: Final = 60
_DIGEST_NBYTES: Final = 16


class Module:
    """A checked and compiled module: `digest` names its Wasm, `native` is its machine code."""

    def __init__(self, digest: str, native: bytes, *, component: bool = False) -> None:
        self.digest = digest
        self.native = native
        self.component = component
        """Whether it is a component, as only guests of WASI-NN may be; it cannot be loaded here."""

    def load(self) -> wasmtime.Module:
        """Return it ready to be instantiated by this process's engine.

        It is not checked again: that was done when it was compiled.
        """
        import wasmtime

        return wasmtime.Module.deserialize(engine(), self.native)


def compile_module(
    source: bytes | os.PathLike[str] | str,
    cache: Path | None = None,
    rules: str = __name__,
    magic: bytes = MAGIC,
    settings: Mapping[str, object] = SETTINGS,
    seconds: int | None = None,
) -> Module:
    """Compile Wasm bytes, or the file at a path; a module that was met before is only read.

    `rules` names what says which modules will do: a Python module with `compiled(wasm)`, which
    compiles and checks; by default that of guests with windows. `magic` is how the Wasm begins,
    `settings` are those of the engine that the rules compile for; it may take `seconds`.

    Raises:
        InvalidModule: not Wasm (or already compiled), too large, does not validate, does not
            compile in time.
        AccessDenied: the folder of compiled modules belongs to, or is open to, others.
        PackageMissing: wasmtime is not installed.
    """
    require("wasmtime")
    wasm = read_wasm(source)
    if len(wasm) > MAX_NBYTES:
        raise InvalidModule(f"the module has more than {MAX_NBYTES >> 20} MiB; strip it")
    if not wasm.startswith(magic):
        raise InvalidModule(
            "this is no core WebAssembly module (it does not start with \\0asm, version 1); build "
            "one with `onecopy guest build`, and hand over Wasm, not compiled code or components"
        )
    digest = hashlib.sha256(wasm).hexdigest()
    folder = private_folder(cache or default_cache())
    path = folder / f"{digest}-{_engine_key(rules, settings)}"
    native = _cached(path)
    if native is None:
        size = format_size(len(wasm))
        _log.info("compiling %s of WebAssembly; as it is now, it is compiled once", size)
        native = _compile(wasm, rules, seconds or COMPILE_SECONDS)
        _keep(path, native)
    return Module(digest, native, component=magic != MAGIC)


def default_cache() -> Path:
    """Return where compiled modules are kept: `$XDG_CACHE_HOME/onecopy/modules`."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "onecopy" / "modules"


def compiled(wasm: bytes) -> wasmtime.Module:
    """Compile a guest's module, such that its state can be saved, and check it.

    Raises:
        InvalidModule: it is garbled, has state that cannot be saved, or can be no guest.
        wasmtime.WasmtimeError: it does not compile.
    """
    import wasmtime

    from onecopy.guests.wasm.binary import export_globals

    module = wasmtime.Module(engine(), export_globals(wasm))
    check_types(module)
    check(module)
    return module


def check(module: wasmtime.Module) -> None:
    """Raise `InvalidModule` unless a module can be a guest."""
    import wasmtime

    memories = [each for each in module.exports if isinstance(each.type, wasmtime.MemoryType)]
    if [each.name for each in memories] != ["memory"]:
        raise InvalidModule(
            "a guest exports exactly one memory, under the name `memory`; this one exports "
            f"{', '.join(repr(each.name) for each in memories) or 'none'}"
        )
    for each in module.imports:
        _check_import(each)


def check_types(module: wasmtime.Module) -> None:
    """Name every type that a host may ask for; only in a process that nobody will miss.

    wasmtime's C API has no vectors outside of functions, and ends the process that asks for one.
    """
    declared: list[Any] = [*module.imports, *module.exports]
    for kind in [each.type for each in declared]:
        types = (*getattr(kind, "params", ()), *getattr(kind, "results", ()))
        for name in ("content", "element"):
            types += (getattr(kind, name, None),)
        list(map(str, types))


def _check_import(each: wasmtime.ImportType) -> None:
    import wasmtime

    name = f"{each.module}.{each.name}"
    if each.module.startswith("wasi"):
        raise InvalidModule(
            f"the module imports {name}: guests have no files, clocks or arguments; build it "
            "freestanding (`onecopy guest build` does)"
        )
    signature = abi.SIGNATURES.get(each.name or "") if each.module == abi.MODULE else None
    if signature is None or not isinstance(each.type, wasmtime.FuncType):
        raise InvalidModule(
            f"the module imports {name}, which this host does not have; docs/guest-abi.md lists "
            "what there is"
        )
    have = tuple(map(str, each.type.params)), tuple(map(str, each.type.results))
    if have != signature:
        raise InvalidModule(f"the module imports {name} as {have}; it is {signature}")


def read_wasm(source: bytes | os.PathLike[str] | str) -> bytes:
    """Return Wasm bytes, or what a file has of them, up to one more than may be."""
    if isinstance(source, bytes):
        return source
    with Path(source).open("rb") as file:
        return file.read(MAX_NBYTES + 1)


@functools.cache
def _wasmtime() -> str:
    return version("wasmtime")


def _engine_key(rules: str, settings: Mapping[str, object]) -> str:
    # What the rules do to a module, and what is checked of it, is part of the result; count up when
    # that changes.
    known = f"{_wasmtime()} {sorted(settings.items())} {os.uname().machine} {rules} checks-3"
    return hashlib.sha256(known.encode()).hexdigest()[:16]


def private_folder(folder: Path) -> Path:
    """Make a folder for this user alone, or check that it is one."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _check_private(folder.lstat(), folder, stat.S_ISDIR)
    return folder


def _check_private(status: os.stat_result, path: Path, kind: object) -> None:
    if not kind(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:  # type: ignore[operator]
        raise AccessDenied(
            f"{path} holds native code, but others own it or may write there; remove it, or set "
            "XDG_CACHE_HOME to a folder of your own"
        )


def _cached(path: Path) -> bytes | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise AccessDenied(f"{path} holds native code, and is a link; remove it") from None
    with os.fdopen(fd, "rb") as file:
        _check_private(os.fstat(fd), path, stat.S_ISREG)
        digest, native = file.read(_DIGEST_NBYTES), file.read()
    # A torn file (the machine died, the disk was full) is compiled anew. That nobody else wrote it
    # is not for the digest to say.
    return native if _digest(native) == digest else None


def _digest(native: bytes) -> bytes:
    from xxhash import xxh3_128_digest

    return xxh3_128_digest(native)


def _keep(path: Path, native: bytes) -> None:
    fd, name = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(_digest(native) + native)
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)


def _compile(wasm: bytes, rules: str, seconds: int) -> bytes:
    command = [sys.executable, "-m", "onecopy.guests.wasm.compiler", rules]
    try:
        done = subprocess.run(command, input=wasm, capture_output=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        raise InvalidModule(
            f"the module did not compile within {seconds} seconds; split it"
        ) from None
    if done.returncode:
        text = done.stderr.decode(errors="replace").strip() or f"status {done.returncode}"
        raise InvalidModule(text[-1000:])
    return done.stdout
