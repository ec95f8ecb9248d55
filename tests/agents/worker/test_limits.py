"""Limits of a run."""

from __future__ import annotations

from types import SimpleNamespace

from onecopy.agents.manifest import limits as manifest
from onecopy.agents.worker.limits import Limits


def test_those_of_a_manifest_are_taken():
    assert Limits.of(manifest.Limits()) == Limits()


def test_other_attributes_are_left_out():
    given = SimpleNamespace(
        memory=1, seconds=2, cpu_seconds=3, calls=4, log=5, concurrent=6, event=7
    )
    assert Limits.of(given) == Limits(1, 2, 3, 4, 5, 6)
