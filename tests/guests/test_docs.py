"""What docs/guests.md shows works as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

from tests.processes import output_of

DOCS = Path(__file__).parents[2] / "docs"


def test_the_snippets_run_in_their_order(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    text = (DOCS / "guests.md").read_text()
    snippets = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(snippets) > 5
    assert output_of("\n".join([*snippets, 'print("done")']), timeout=110) == "done"
