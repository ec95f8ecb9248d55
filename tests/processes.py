"""Running pieces of a test in other processes."""

from __future__ import annotations

import subprocess
import sys
import textwrap


def script(code: str, *arguments: object, **options: object) -> subprocess.Popen[str]:
    """Start `code` in a fresh interpreter; its standard streams are pipes of text."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,  # type: ignore[call-overload]
    )


def output_of(code: str, *arguments: object, timeout: float = 60) -> str:
    """Run `code` in a fresh interpreter and return what it prints; it must succeed."""
    with script(code, *arguments) as process:
        output, errors = process.communicate(timeout=timeout)
    assert process.returncode == 0, errors
    return output.strip()
