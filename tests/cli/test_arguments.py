"""Arguments: units, groups, and completion."""

from __future__ import annotations

import os

import pytest
import torch

import onecopy
from onecopy.store.runtime import Place
from tests.cli.commands import run
from tests.processes import script


def complete(line: str) -> list[str]:
    """Return what a shell would offer at the end of a line."""
    environment = {**os.environ, "_ONECOPY_COMPLETE": "complete_bash"}
    environment |= {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)}
    code = "from onecopy.cli import main; main()"
    with script(code, env=environment) as process:
        output, errors = process.communicate(timeout=60)
    assert errors == ""
    return output.split()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["serve", "x", "--capacity", "8 apples"], "8 apples"),
        (["serve", "x", "--idle-exit", "soon"], "soon"),
        (["serve", "x", "--group", "no such group"], "no such group"),
        (["put", "x", "y", "--align", "-1"], "-1"),
    ],
)
def test_a_bad_value_is_a_usage_error_that_repeats_it(arguments: list[str], text: str) -> None:
    assert text in run(*arguments, code=2).stderr


def test_stores_complete(store: onecopy.Store) -> None:
    assert complete("onecopy ls te") == ["test"]
    assert complete("onecopy ls x") == []


def test_entries_complete(store: onecopy.Store) -> None:
    for name in ("models/a", "models/b", "other"):
        store.save(name, torch.ones(1))
    assert complete("onecopy stat test mod") == ["models/a", "models/b"]
    assert complete("onecopy rm test other ot") == ["other"]


def test_entries_of_a_store_that_is_gone_complete_to_nothing() -> None:
    assert complete("onecopy stat gone x") == []


def test_entries_of_a_store_that_does_not_answer_complete_to_nothing() -> None:
    place = Place("stuck")
    place.create()
    with place.bind():
        assert complete("onecopy stat stuck x") == []
