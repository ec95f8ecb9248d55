"""Options of `plan`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.commands import run


@pytest.mark.parametrize("option", ["--svg", "--out"])
def test_where_it_cannot_write_it_says_so_before_it_searches(tmp_path: Path, option: str) -> None:
    for place, text in ((tmp_path / "no" / "x", "make it first"), (tmp_path, "name a file")):
        result = run("plan", "solve", tmp_path / "none.csv", option, place, code=2)
        assert text in " ".join(result.stderr.replace("│", "").split())
