"""What docs/nn.md shows works as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.nn.service.ending import wait_until_ended
from tests.processes import output_of

pytest.importorskip("transformers")

PAGE = Path(__file__).parents[2] / "docs" / "nn.md"


def test_the_snippets_run_in_their_order(compiler, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # other tests need the cores
    snippets = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert snippets
    assert output_of("\n".join([*snippets, 'print("done")']), timeout=110) == "done"
    wait_until_ended()


def test_its_table_has_every_option_of_guests() -> None:
    from onecopy.nn.backends.text.options import NAMES

    table = PAGE.read_text().partition("### Options of guests")[2].partition("### Guides")[0]
    listed = {
        name
        for row in table.splitlines()
        if row.startswith("| `")
        for name in re.findall(r"`([^`]+)`", row.split("|")[1])
    }
    assert listed == set(NAMES)
