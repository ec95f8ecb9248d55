"""The disk is full under a whole server: nothing that was accepted is lost, and it recovers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SIZE = "24m"


def within(place: Path) -> list[str]:
    """A command that runs another with a small disk at `place`; without one the test is skipped."""
    place.mkdir()
    mount = f'mount -t tmpfs -o size={SIZE},mode=700 tmpfs {place} && exec "$@"'
    line = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, "sh"]
    try:
        tried = subprocess.run([*line, "true"], capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no unshare")
    if tried.returncode:
        pytest.skip(f"no disk can be mounted: {tried.stderr}")
    return line


@pytest.mark.parametrize("what", ["everything", "killed", "records"])
def test_a_server_whose_disk_is_full_loses_nothing_and_recovers_by_itself(
    tmp_path: Path, probe: Path, shared_folder: Path, what: str
) -> None:
    place = tmp_path / "disk"
    carried_out(within(place), what, place, probe, shared_folder)


def test_a_server_whose_files_cannot_grow_loses_nothing_and_recovers_by_itself(
    tmp_path: Path, probe: Path, shared_folder: Path
) -> None:
    carried_out([], "limited", tmp_path / "disk", probe, shared_folder)


def carried_out(within: list[str], *arguments: object) -> None:
    line = [*within, sys.executable, "-m", "tests.agents.attacks.filled", *map(str, arguments)]
    done = subprocess.run(line, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
