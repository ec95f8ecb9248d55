from __future__ import annotations

from pathlib import Path

from tests.pages import ROOT, run_page, run_program


def test_the_page_runs(tmp_path: Path) -> None:
    run_page("distributed.md", tmp_path)


def test_the_example_runs() -> None:
    printed = run_program(ROOT / "examples" / "checkpoint_conversion" / "main.py")
    assert "rank 1 of 2 has its rows" in printed
