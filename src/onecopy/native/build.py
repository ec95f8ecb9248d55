"""Compile the library next to its sources: `python -m onecopy.native.build`.

Installing the package does it (hatch_build.py calls `build`). This file imports nothing of
the package, which cannot be imported yet then.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
LIBRARY = FOLDER / "_native.so"
# -fexceptions: torch's own allocator, which ours calls, throws when there is no memory.
FLAGS = ("-std=gnu11", "-O2", "-fPIC", "-shared", "-fvisibility=hidden", "-fexceptions", "-pthread")


class CompilerMissing(Exception):
    """There is no C compiler, or it failed; the text has its words."""


def build() -> Path:
    """Compile all C files of this folder into one shared object; return its path.

    The compiler is `cc`, or what the environment variable CC says.
    """
    sources = sorted(map(str, FOLDER.glob("*.c")))
    # Renamed when it is whole: a running program may have the old one mapped.
    unfinished = LIBRARY.with_name(f".{LIBRARY.name}.{os.getpid()}")
    command = [*shlex.split(os.environ.get("CC", "cc")), *FLAGS, *sources, "-o", str(unfinished)]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
        unfinished.replace(LIBRARY)
    except OSError as error:
        raise CompilerMissing(f"no C compiler: {error}") from error
    except subprocess.CalledProcessError as error:
        raise CompilerMissing(f"{shlex.join(command)}\n{error.stderr}") from error
    finally:
        unfinished.unlink(missing_ok=True)
    return LIBRARY


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{build()}\n")
    except CompilerMissing as error:
        sys.exit(str(error))
