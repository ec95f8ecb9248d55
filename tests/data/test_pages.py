from __future__ import annotations

from pathlib import Path

from tests.pages import ROOT, run_page, run_program


def test_the_page_runs(tmp_path: Path) -> None:
    run_page("data.md", tmp_path)


def test_the_example_runs() -> None:
    program = ROOT / "examples" / "dataloader" / "main.py"
    printed = run_program(program, "--mib", "1", "--batches", "4")
    assert [line.split()[0] for line in printed.splitlines()] == ["torch", "onecopy"]
