"""A fault is for requests of one method whose whole path fits."""

from __future__ import annotations

from onecopy.demo.agent.github.fault import Fault


def test_it_is_for_a_method_and_a_whole_path() -> None:
    fault = Fault("POST", ".*/comments")
    assert fault.is_for("POST", "/repos/a/b/issues/1/comments")
    assert not fault.is_for("GET", "/repos/a/b/issues/1/comments")
    assert not fault.is_for("POST", "/repos/a/b/issues/1/comments/2")
