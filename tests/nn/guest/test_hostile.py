"""Guests that mean harm: none of them gets anywhere, and each leaves the host as it was."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from onecopy import nn
from onecopy.errors import GuestMemoryExceeded, GuestTimeout, GuestTrapped, WorkerLost
from tests.nn.arithmetic import BACKEND, write
from tests.nn.guest.conftest import HOSTILE
from tests.nn.service.ending import wait_until_ended


@pytest.fixture
def host(tmp_path, caches):
    models = {
        name: nn.Model(what=str(write(tmp_path / name, "affine", **fields)), backend=BACKEND)
        for name, fields in (("twice", {}), ("forever", {"gate": str(tmp_path / "gate")}))
    }
    bad = write(tmp_path / "bad", "misbehave")
    models["bad"] = nn.Model(what=str(bad), backend=BACKEND)
    for end in ("in", "out"):
        os.mkfifo(tmp_path / f"gate.{end}")
    with nn.Host(models, idle_seconds=0) as host:
        yield host
    wait_until_ended()


@pytest.fixture
def ends(host, command, tmp_path):
    """Runs a guest of the folder `hostile`; returns how it ended, and what it said."""

    def run(name: str, **options) -> tuple[int, str]:
        out = tmp_path / "out"
        with out.open("w") as file:
            status = host.run(
                command(HOSTILE / f"{name}.c"), stdout=file, stdin=subprocess.DEVNULL, **options
            )
        return status, out.read_text()

    return run


@pytest.mark.parametrize(
    "attack",
    ["handles", "pointers", "shapes", "types", "small_buffer", "garbage", "names", "many"],
)
def test_an_attack_on_the_functions_is_answered_with_errors(ends, attack):
    assert ends(attack) == (0, "")
    assert ends("honest") == (0, "right\n")


def test_calls_at_random_end_nothing(ends):
    assert ends("fuzz") == (0, "done\n")
    assert ends("honest") == (0, "right\n")


def test_no_way_leads_out_of_a_folder(ends, tmp_path):
    (tmp_path / "given" / "folder").mkdir(parents=True)
    (tmp_path / "given" / "inside").write_text("x")
    (tmp_path / "secret").write_text("secret")
    links = {
        "link": "../secret",
        "absolute": str(tmp_path / "secret"),
        "up": "..",
        "self": "/proc/self",
        "chain": "link",
    }
    for name, target in links.items():
        (tmp_path / "given" / name).symlink_to(target)
    assert ends("files", dirs={"/given": tmp_path / "given"}) == (0, "")
    assert (tmp_path / "secret").read_text() == "secret"
    assert not (tmp_path / "leaked").exists()


def test_memory_has_an_end(ends):
    status, said = ends("grow", memory_limit=64 << 20)
    assert status == 0
    assert int(said) * 65536 <= 64 << 20


def test_a_stack_has_an_end(ends):
    with pytest.raises(GuestTrapped, match="stack"):
        ends("recurse")
    assert ends("honest") == (0, "right\n")


def test_a_guest_that_waits_for_a_model_is_ended_in_its_time(ends, host, tmp_path):
    # Loaded before: what takes the guest's time is only that the computation does not end.
    with arrival(tmp_path) as arrived, host.load("forever"):
        with pytest.raises(GuestTimeout):
            ends("wait", timeout=4)
        arrived.join()
    assert ends("honest") == (0, "right\n")


def test_a_guest_that_is_killed_while_it_computes_is_an_error(ends, host, tmp_path):
    killed = threading.Thread(target=kill_when_there, args=(host, tmp_path))
    killed.start()
    with pytest.raises(WorkerLost, match="SIGKILL"):
        ends("wait")
    killed.join()
    assert ends("honest") == (0, "right\n")


def arrival(folder: Path):
    """Lets the computation at the gate go on when the block is done."""

    class Gate:
        def __enter__(self):
            self.thread = threading.Thread(target=self.wait)
            self.thread.start()
            return self.thread

        def wait(self):
            with (folder / "gate.in").open("rb") as gate:
                gate.read(1)

        def __exit__(self, *_):
            with (folder / "gate.out").open("wb") as gate:
                gate.write(b".")

    return Gate()


def kill_when_there(host: nn.Host, folder: Path) -> None:
    with (folder / "gate.in").open("rb") as gate:
        gate.read(1)
    assert host._guests is not None
    (process,) = host._guests.running
    os.kill(process.pid, signal.SIGKILL)
    with (folder / "gate.out").open("wb") as gate:
        gate.write(b".")


def test_a_model_that_dies_is_an_error_and_is_started_again(ends):
    assert ends("dying") == (0, "")


def test_a_process_that_takes_too_much_is_ended(ends, monkeypatch):
    monkeypatch.setattr("onecopy.nn.guest.watched.ROOM", -(1 << 30))
    with pytest.raises(GuestMemoryExceeded, match="memory_limit"):
        ends("loop", memory_limit=1 << 30)


def test_what_a_guest_gets_wrong_is_told_a_few_times_only(ends, caplog):
    caplog.set_level("INFO", "onecopy.nn")
    assert ends("fuzz")[0] == 0
    told = [each for each in caplog.records if "invalid_argument" in each.getMessage()]
    assert 0 < len(told) <= 32
    assert "further" in caplog.records[-1].getMessage()
