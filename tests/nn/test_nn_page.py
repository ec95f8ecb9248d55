"""What docs/nn.md shows works as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from onecopy import Store
from tests.nn.service.ending import wait_until_ended

pytest.importorskip("transformers")

PAGE = Path(__file__).parents[2] / "docs" / "nn.md"


# Here, not in a process of its own: importing torch and transformers once more takes seconds.
def test_the_snippets_run_in_their_order(compiler, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    snippets = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert snippets
    names: dict[str, Any] = {}
    stores: list[Store] = []
    for each in snippets:
        exec(compile(each, str(PAGE), "exec"), names)
        stores.append(names["store"])
    names["host"].close()
    for store in set(stores):
        store.close()
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
