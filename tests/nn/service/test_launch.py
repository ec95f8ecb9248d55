"""Processes of models are found, or started once; and nothing of the dead is in the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

import onecopy
from onecopy import nn
from onecopy.errors import AccessDenied, BackendLost, ModelNotFound
from onecopy.nn.service.running import running
from onecopy.nn.service.spot import base, spots
from tests.nn.arithmetic import BACKEND, write
from tests.nn.service.ending import wait_for, wait_until_clean, wait_until_ended

ONE = np.ones(1, np.float32)


def _host(path, **options) -> nn.Host:
    model = nn.Model(what=str(path), backend=BACKEND, options=options)
    return nn.Host({"m": model}, idle_seconds=0)


@pytest.fixture
def store():
    with onecopy.start("models", capacity="16MiB") as store:
        yield store
    wait_until_ended()


def _entry_host(store) -> nn.Host:
    return nn.Host({"m": nn.Model(what="m", backend=BACKEND)}, store=store, idle_seconds=0)


def test_many_programs_start_one_process(tmp_path) -> None:
    file = write(tmp_path / "m", "affine")
    code = (
        "import sys\n"
        "from onecopy import nn\n"
        f"model = nn.Model(what={str(file)!r}, backend={BACKEND!r})\n"
        "sys.stdin.read()\n"
        "with nn.Host({'m': model}, idle_seconds=3600) as host, host.load('m'):\n"
        "    print(host.models()[0].pid, flush=True)\n"
    )
    reader, writer = os.pipe()
    programs = [
        subprocess.Popen([sys.executable, "-c", code], stdin=reader, stdout=subprocess.PIPE)
        for _ in range(4)
    ]
    os.close(reader)
    os.close(writer)  # now
    assert len({int(each.communicate()[0]) for each in programs}) == 1
    _host(file).load("m").close()
    wait_until_clean()


def test_threads_that_load_at_the_same_time_get_one_process(tmp_path, gate) -> None:
    host = _host(write(tmp_path / "m", "slow", gate=gate.path))
    graphs = []
    threads = [threading.Thread(target=lambda: graphs.append(host.load("m"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    gate.await_arrival()
    assert len(spots()) == 1
    gate.open()
    for thread in threads:
        thread.join()
    (loaded,) = running()
    assert loaded.users == 4
    host.close()
    wait_until_ended()


def test_a_process_that_dies_while_it_loads_is_told_and_tried_again(tmp_path) -> None:
    host = _host(write(tmp_path / "m", "dying", folder=str(tmp_path)))
    with pytest.raises(BackendLost, match="while it loaded"):
        host.load("m")
    with host.load("m") as graph:
        assert graph.run([ONE])[0].tolist() == [2]
    wait_until_clean()


def test_who_waits_for_a_process_that_is_killed_starts_another(tmp_path, gate) -> None:
    host = _host(write(tmp_path / "m", "slow", gate=gate.path))
    found = []

    def load() -> None:
        try:
            found.append(host.load("m").run([ONE])[0].tolist())
        except BackendLost:
            found.append("lost")

    threads = [threading.Thread(target=load) for _ in range(2)]
    threads[0].start()
    gate.await_arrival()
    threads[1].start()
    (spot,) = spots()
    while spot.pid() == 0:
        pass
    os.kill(spot.pid(), signal.SIGKILL)
    # One of them may have started it; who did hears of it, who waited has it started again.
    threads[0].join()
    assert found == ["lost"]
    gate.await_arrival()
    gate.open()
    threads[1].join()
    assert found == ["lost", [2.0]]
    host.close()
    wait_until_clean()


def test_what_a_killed_process_left_is_replaced(tmp_path) -> None:
    host = _host(write(tmp_path / "m", "affine"))
    with host.load("m"):
        (loaded,) = running()
        os.kill(loaded.pid, signal.SIGKILL)
        wait_for(loaded.pid)
        (spot,) = spots()
        assert spot.place.socket.exists()
        with host.load("m") as graph:
            assert graph.run([ONE])[0].tolist() == [2]
    wait_until_clean()


def test_what_a_killed_process_left_is_swept_by_another_model(tmp_path) -> None:
    with _host(write(tmp_path / "one", "affine")).load("m"):
        (loaded,) = running()
        os.kill(loaded.pid, signal.SIGKILL)
        wait_for(loaded.pid)
        with _host(write(tmp_path / "two", "affine")).load("m"):
            assert len(spots()) == 1
    wait_until_clean()


def test_a_process_that_is_told_to_end_leaves_nothing(tmp_path) -> None:
    with _host(write(tmp_path / "m", "affine")).load("m") as graph:
        (loaded,) = running()
        os.kill(loaded.pid, signal.SIGTERM)
        wait_for(loaded.pid)
        assert not base().exists()
        with graph.context() as context:
            context.set_input(0, "u8", (1,), b"1")
            context.compute()
    wait_until_clean()


def test_a_process_stays_while_it_is_not_idle_for_long_enough(tmp_path) -> None:
    model = nn.Model(what=str(write(tmp_path / "m", "affine")), backend=BACKEND)
    patient = nn.Host({"m": model}, idle_seconds=3600)
    patient.load("m").close()
    (loaded,) = running()
    with nn.Host({"m": model}, idle_seconds=0) as host, host.load("m"):
        assert [each.pid for each in running()] == [loaded.pid]
    wait_until_clean()


def test_a_removed_entry_serves_those_who_have_it(store) -> None:
    store.save("m", b'{"kind": "affine"}')
    host = _entry_host(store)
    with host.load("m") as graph:
        store.remove("m")
        assert graph.run([ONE])[0].tolist() == [2]
        with pytest.raises(ModelNotFound):
            host.load("m")
        assert graph.run([ONE])[0].tolist() == [2]


def test_those_who_have_a_model_open_contexts_of_the_same_one(store) -> None:
    store.save("m", b'{"kind": "affine"}')
    with _entry_host(store).load("m") as graph:
        store.save("m", b'{"kind": "affine", "scale": 5}', overwrite=True)
        contexts = [graph.context() for _ in range(3)]
        for context in contexts:
            context.set_input(0, "u8", (1,), b"\x01")
            context.compute()
            assert bytes(context.output(0)) == b"\x02"
        (loaded,) = running()
        os.kill(loaded.pid, signal.SIGKILL)
        wait_for(loaded.pid)
        with pytest.raises(ModelNotFound, match="replaced"):
            contexts[0].compute()
        store.remove("m")
        with pytest.raises(ModelNotFound, match="no entry"):
            contexts[0].compute()


def test_an_overwritten_entry_is_another_process(store) -> None:
    store.save("m", b'{"kind": "affine"}')
    host = _entry_host(store)
    with host.load("m") as before:
        (old,) = running()
        store.save("m", b'{"kind": "affine", "scale": 5}', overwrite=True)
        with host.load("m") as after:
            assert before.run([ONE])[0].tolist() == [2]
            assert after.run([ONE])[0].tolist() == [5]
            before.close()
            wait_for(old.pid)
            assert after.run([ONE])[0].tolist() == [5]


def test_an_entry_that_is_overwritten_while_it_is_loaded_is_loaded_anew(store, gate) -> None:
    store.save("m", b'{"kind": "slow", "gate": "%s"}' % gate.path.encode())
    host = _entry_host(store)
    found = []
    thread = threading.Thread(target=lambda: found.append(host.load("m")))
    thread.start()
    gate.await_arrival()
    store.save("m", b'{"kind": "affine", "scale": 5}', overwrite=True)
    gate.open()
    thread.join()
    assert found[0].run([ONE])[0].tolist() == [5]
    host.close()


def test_a_snapshot_is_a_store_too(store, tmp_path) -> None:
    store.save("m", b'{"kind": "affine"}')
    store.snapshot(tmp_path / "snapshot")
    with onecopy.open(tmp_path / "snapshot") as snapshot:
        source = nn.Model(what="m", backend=BACKEND).source(snapshot)
        assert (source.store, source.entry) == (str(tmp_path / "snapshot"), "m")


def test_a_folder_that_others_may_write_to_is_refused(tmp_path, runtime) -> None:
    runtime.mkdir()
    runtime.chmod(0o777)
    with pytest.raises(AccessDenied, match="chmod"):
        _host(write(tmp_path / "m", "affine")).load("m")


def test_an_interrupt_of_the_terminal_is_not_for_it(tmp_path) -> None:
    with _host(write(tmp_path / "m", "affine")).load("m"):
        (loaded,) = running()
        assert os.getpgid(loaded.pid) != os.getpgid(0)
        assert os.getsid(loaded.pid) != os.getsid(0)
    wait_until_clean()
