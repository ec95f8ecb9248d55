"""Which files a confined process reaches."""

from __future__ import annotations

from pathlib import Path

import pytest

from onecopy.nn.guest import landlock
from tests.processes import output_of

pytestmark = pytest.mark.skipif(not landlock.version(), reason="this kernel has no Landlock")

PROGRAM = """
import os, sys
from onecopy.nn.guest import landlock
folders = [(os.open(p, os.O_PATH | os.O_DIRECTORY), p.endswith("open")) for p in sys.argv[1:3]]
assert landlock.confine(folders) == ""
def tried(name, function, *arguments):
    try:
        function(*arguments)
        print(name, "yes")
    except OSError as error:
        print(name, "no")
opened, closed, outside = sys.argv[1:4]
flags = os.O_WRONLY | os.O_CREAT
tried("read", os.open, closed + "/x", os.O_RDONLY)
tried("list", os.listdir, closed)
tried("write", os.open, closed + "/x", os.O_WRONLY)
tried("create", os.open, closed + "/y", flags)
tried("remove", os.unlink, closed + "/x")
tried("truncate", os.truncate, closed + "/x", 0)
tried("rename", os.rename, closed + "/x", opened + "/x")
tried("create-open", os.open, opened + "/y", flags)
tried("remove-open", os.unlink, opened + "/y")
tried("pipe-open", os.mkfifo, opened + "/p")
tried("outside", os.open, outside + "/x", os.O_RDONLY)
tried("above", os.open, opened + "/../outside/x", os.O_RDONLY)
tried("link", os.open, opened + "/link", os.O_RDONLY)
tried("self", os.open, "/proc/self/mem", os.O_RDONLY)
tried("run", os.execv, "/bin/true", ["true"])
"""


def test_only_what_is_below_the_folders_can_be_reached(tmp_path: Path):
    for name in ("open", "closed", "outside"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").write_text("x")
    (tmp_path / "open" / "link").symlink_to(tmp_path / "outside" / "x")
    paths = [str(tmp_path / name) for name in ("open", "closed", "outside")]
    said = dict(line.split() for line in output_of(PROGRAM, *paths).splitlines())
    allowed = {"read", "list", "create-open", "remove-open"}
    assert {name for name, answer in said.items() if answer == "yes"} == allowed
    assert len(said) == 15
