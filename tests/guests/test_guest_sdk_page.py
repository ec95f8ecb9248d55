"""docs/guest-sdk.md, done word by word as a new user would."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from onecopy.cli.guests_script import CHECKS, parse_line
from onecopy.guests.toolchain import SDK
from tests.pages import ROOT

PAGE = (ROOT / "docs" / "guest-sdk.md").read_text()
_BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```", re.DOTALL | re.MULTILINE)


@pytest.mark.usefixtures("compiler")
def test_what_the_page_does_works(tmp_path: Path) -> None:
    binaries = tmp_path / "bin"
    binaries.mkdir()
    for name, module in {"onecopy": "-m onecopy.cli", "python": ""}.items():
        (binaries / name).write_text(f'#!/bin/sh\nexec {sys.executable} {module} "$@"\n')
        (binaries / name).chmod(0o755)
    # A test that fails half-way leaves no store behind.
    tidy = "trap 'onecopy stop adder-demo > /dev/null 2>&1 || true' EXIT"
    blocks = [
        code if kind == "sh" else f"cat > page.py <<'END'\n{code}END\npython -W error page.py\n"
        for kind, code in _BLOCK.findall(PAGE)
    ]
    done = subprocess.run(
        ["bash", "-euc", "\n".join([tidy, *blocks])],
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{binaries}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "refused: not allowed by the step before" in done.stdout
    assert re.search(r"b'\{.*\"greeting\"", done.stdout)
    assert re.search(r"^45\.0\n22\.5$", done.stdout, re.MULTILINE)


def test_every_check_is_on_the_page_as_scripts_read_it() -> None:
    table = PAGE.split("| After `=>`")[1].split("\n\n")[0]
    shown = [code for code in re.findall(r"`([^`]+)`", table) if code != ";"]
    assert {parse_line(f"=> {code}").checks[0].word for code in shown} == set(CHECKS)
    for code in re.findall(
        r"^\| `([^`]+)` \|", PAGE.split("| Before `=>`")[1].split("\n\n")[0], re.M
    ):
        parse_line(code)


def test_every_function_on_the_page_is_in_the_header() -> None:
    header = (SDK / "onecopy.h").read_text()
    names = set(re.findall(r"\boc_[a-z_]+", PAGE)) - {"oc_control"}
    assert names
    assert all(f"{name}(" in header for name in names)
