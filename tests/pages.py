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


def blocks(page: Path) -> list[tuple[str, str]]:
    """Return the fenced blocks of a page: language and text."""
    return re.findall(r"^```(\w+)\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


def programs(page: str) -> dict[str, str]:
    """Return the snippets that begin with a file name, by it."""
    snippets = _SNIPPET.findall((ROOT / page).read_text())
    return {found[1]: code for code in snippets if (found := _PROGRAM.match(code))}


def in_place(*pages: str) -> str:
    """Return a program that runs the other snippets of each page, which have the page's lines."""
    runs = [f"run({_blanked((ROOT / page).read_text())!r}, {page!r})\n" for page in pages]
    return f"{_RUN}{''.join(runs)}"


_RUN = """
def run(code, page):
    exec(compile(code, page, "exec"), {"__name__": "__main__"})
"""


def _blanked(text: str) -> str:
    """Return a page with nothing but its snippets, each at its lines."""
    kept = ["\n"] * len(text.splitlines())
    for found in _SNIPPET.finditer(text):
        first = text.count("\n", 0, found.start(1))
        if not _PROGRAM.match(found[1]):
            lines = found[1].splitlines(keepends=True)
            kept[first : first + len(lines)] = lines
    return "".join(kept)


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
