"""A new agent runs, by the steps that are printed."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys

import pytest

from onecopy.agents.sdk import TEMPLATES
from tests.agents.bridge import complaint
from tests.agents.sdk.running import fetched


@pytest.mark.timeout(400)
def test_new_then_test_then_build_then_run(tmp_path, shared_folder):
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
    assert "first.json: as expected" in onecopy("test", "greeter").stdout
    said = onecopy("build", "greeter").stderr
    [*_, step] = said.strip().splitlines()
    command = step.removeprefix("next: onecopy agent ").split()
    for count in (1, 2):
        answer = json.loads(onecopy(*command, "--state", str(tmp_path / "state")).stdout)
        assert answer == {"answer": "Hello, Ada!", "questions": count}


def test_the_event_of_the_one_in_python_is_as_expected(tmp_path):
    made = tmp_path / "greeter"
    shutil.copytree(TEMPLATES / "py", made)
    spec = importlib.util.spec_from_file_location("template", made / "agent.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    manifest = made / "agent.toml"
    manifest.write_text(manifest.read_text().replace("NAME", "greeter"))
    assert complaint(made, "first.json", module.handle, tmp_path / "state") == ""


def test_both_templates_have_the_same_events():
    events = [each.read_text() for each in TEMPLATES.glob("*/events/first.json")]
    assert len(events) == 2
    assert len(set(events)) == 1
