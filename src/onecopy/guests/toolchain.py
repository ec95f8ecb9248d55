"""Building guests: C and C++ to WebAssembly, by the compiler in the `ziglang` wheel.

What comes out is freestanding (guests have no libc and no WASI), exports what is marked with
`OC_EXPORT`, and uses SIMD but no bulk memory instructions: those run in host code, where a
deadline does not reach them.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from onecopy.errors import BuildFailed, InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Sequence

log = logging.getLogger("onecopy.guests.toolchain")

SDK: Final = Path(__file__).with_name("sdk")
"""The folder of onecopy.h."""
COMMAND_SDK: Final = Path(__file__).parents[1] / "nn" / "sdk"
"""The folder of wasi_nn.h."""

TARGET_FLAGS: Final = (
    "--target=wasm32-freestanding",
    "-mcpu=generic+simd128-bulk_memory-bulk_memory_opt",
    "-fvisibility=hidden",
    "-Wl,--no-entry",
    "-Wl,--export-dynamic",
    # A fork copies all of a guest's memory, so the stack is small; larger: the same flag again.
    "-Wl,-z,stack-size=65536",
)
_DEFAULTS: Final = ("-O2", "-Wall", "-Wextra")
LANGUAGES: Final[dict[str, tuple[str, ...]]] = {
    ".c": ("cc", "-std=c11"),
    **dict.fromkeys((".cc", ".cpp", ".cxx"), ("c++", "-std=c++17", "-fno-exceptions", "-fno-rtti")),
}


def build(
    source: os.PathLike[str] | str,
    out: os.PathLike[str] | str | None = None,
    flags: Sequence[str] = (),
) -> bytes:
    """Compile one C or C++ file, and return the Wasm; write it to `out` too, if given.

    `flags` are for the compiler, and come last: `-O3`, `-g`, `-DNAME`, more source files. Warnings
    are logged. The first build on a machine takes some seconds, later ones a tenth of one.

        wasm = build("controller.c", "controller.wasm")

    Raises:
        BuildFailed: the compiler said no (the text has its message), or is not installed.
        InvalidArgument: the file is neither C nor C++, by its name.
    """
    path = Path(source)
    with tempfile.TemporaryDirectory(prefix="onecopy-build-") as folder:
        made = Path(folder) / "guest.wasm"
        _compile([*_command(path), *flags, str(path), "-o", str(made)], path)
        wasm = made.read_bytes()
    if out is not None:
        _publish(wasm, Path(out))
    return wasm


def _command(path: Path) -> list[str]:
    language = LANGUAGES.get(path.suffix)
    if language is None:
        raise InvalidArgument(
            f"{path} is neither C (.c) nor C++ (.cc, .cpp, .cxx); docs/guest-sdk.md says how to "
            "build guests in other languages"
        )
    path.stat()  # a missing file is an OSError, not a message of the compiler
    if importlib.util.find_spec("ziglang") is None:
        raise BuildFailed(
            "building guests needs the compiler in the package ziglang; run `pip install "
            "'onecopy[build]'`, or build with clang (docs/guest-sdk.md)"
        )
    zig = [sys.executable, "-m", "ziglang", *language]
    return [*zig, *TARGET_FLAGS, *_DEFAULTS, "-I", str(SDK)]


def _compile(command: list[str], path: Path) -> None:
    strip = () if "-g" in command else ("-Wl,--strip-debug",)
    done = subprocess.run(
        [*command, *strip], env=_environment(), capture_output=True, text=True, errors="replace"
    )
    said = done.stderr.strip()
    if done.returncode:
        raise BuildFailed(f"{path} does not compile:\n{said or f'status {done.returncode}'}")
    if said:
        log.warning("%s", said)


def _environment() -> dict[str, str]:
    """Give the compiler a cache of this user's, where the environment does not name one."""
    from onecopy.guests.wasm.module import default_cache, private_folder

    folder = str(private_folder(default_cache().with_name("zig")))
    names = ("ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR")
    return {**dict.fromkeys(names, folder), **os.environ}


def _publish(wasm: bytes, out: Path) -> None:
    """Write a file that appears when it is complete: somebody may be running the old one."""
    partial = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        partial.write_bytes(wasm)
        partial.replace(out)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
