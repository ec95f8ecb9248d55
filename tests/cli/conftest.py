"""Fixtures: a store for the commands to work on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import onecopy
from tests.cli.commands import command


@pytest.fixture
def store() -> Iterator[onecopy.Store]:
    """A store called "test" that belongs to this test."""
    with onecopy.start("test", capacity="64MiB") as store:
        yield store


@pytest.fixture
def background() -> Iterator[str]:
    """A name for a store that `serve` starts in the background; it is stopped afterwards."""
    yield "background"
    command("stop", "background", check=False)
