"""What docs/planner.md shows works as it stands there; under Budget, of a model of gigabytes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.prepared import output_of

PAGE = Path(__file__).parents[2] / "docs" / "planner.md"


def snippets() -> list[str]:
    before, _, budget = PAGE.read_text().partition("\n## Budget\n")
    text = before + budget.partition("\n## ")[2]
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def test_the_snippets_run_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("transformers")
    monkeypatch.chdir(tmp_path)
    said = [
        line for code in snippets() for line in re.findall(r"^ *print\(.*\)  # (.*)", code, re.M)
    ]
    threads = "import torch\ntorch.set_num_threads(1)"
    output = output_of("\n".join([threads, *snippets()]), timeout=110)
    assert len(snippets()) == 10
    assert {each.name for each in tmp_path.iterdir()} >= {"llama.plan", "plan.csv", "plan.svg"}
    assert len(said) == 3
    for line in said:
        assert line in output
