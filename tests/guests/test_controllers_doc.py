"""The snippets of docs/controllers.md run, in order, in one process."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.processes import output_of

pytest.importorskip("torch")
pytest.importorskip("ziglang")

DOC = Path(__file__).resolve().parents[2] / "docs" / "controllers.md"


def test_the_snippets_run() -> None:
    snippets = re.findall(r"^```python\n(.*?)^```$", DOC.read_text(), re.M | re.S)
    assert len(snippets) > 6
    printed = output_of("\n".join(snippets))
    assert printed.endswith("'") or "{" in printed
