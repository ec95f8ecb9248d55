"""A server may be killed at any moment."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_what_was_accepted_ends_once_whenever_servers_are_killed(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "tests.agents.queue.killing", str(tmp_path / "queue.db"), "30", "7"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    accepted, taken, ended = map(int, done.stdout.split())
    assert min(accepted, taken, ended) > 100
