"""Running the snippets of a documentation page, and the examples."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

_SNIPPET = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
_PROGRAM = re.compile(r"# (\w+\.py)\n")


def run_page(page: str, folder: Path) -> None:
    """Run all snippets in order, as one program; those that begin with a file name on their own."""
    snippets = _SNIPPET.findall((ROOT / "docs" / page).read_text())
    assert snippets
    together = [code for code in snippets if not _PROGRAM.match(code)]
    programs = {m[1]: code for code in snippets if (m := _PROGRAM.match(code))}
    for name, code in {**programs, "page.py": "\n".join(together)}.items():
        (folder / name).write_text(code)
        run_program(folder / name)


def run_program(program: Path, *arguments: str) -> str:
    """Run a program, and return what it prints; it must succeed."""
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", str(program), *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout
