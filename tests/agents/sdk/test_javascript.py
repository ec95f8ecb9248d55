"""The JavaScript library under Node, with its host for tests."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from onecopy.agents.sdk import JAVASCRIPT

HERE = Path(__file__).parent


@pytest.mark.skipif(not shutil.which("node"), reason="no Node.js")
def test_agents_are_tested_under_node(tmp_path):
    for name in ("everything.js", "everything.test.js"):
        shutil.copy(HERE / name, tmp_path)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    register = (JAVASCRIPT / "onecopy_agent" / "register.js").as_uri()
    line = ["node", "--import", register, "--test", str(tmp_path / "everything.test.js")]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "# pass 4" in done.stdout
