"""A new agent runs, by the steps that are printed."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.agents.sdk.running import fetched


@pytest.mark.timeout(400)
def test_new_then_build_then_run(tmp_path, shared_folder):
    fetched(shared_folder)
    environment = {**os.environ, "XDG_CACHE_HOME": str(shared_folder)}

    def onecopy(*arguments):
        line = [sys.executable, "-m", "onecopy.cli", "agent", *arguments]
        done = subprocess.run(
            line, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done

    onecopy("new", "greeter", "--lang", "js")
    said = onecopy("build", "greeter").stderr
    [*_, step] = said.strip().splitlines()
    command = step.removeprefix("next: onecopy agent ").split()
    for count in (1, 2):
        answer = json.loads(onecopy(*command, "--state", str(tmp_path / "state")).stdout)
        assert answer == {"answer": "Hello, Ada!", "questions": count}
