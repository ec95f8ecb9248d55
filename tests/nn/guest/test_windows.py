"""Windows of commands: tensors of a store in the memory of a guest with files and inference."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import onecopy
from onecopy import Store, guests, nn
from onecopy.errors import GuestMemoryExceeded, GuestTrapped, InvalidModule, WindowRefused
from tests.conftest import open_files
from tests.nn.arithmetic import BACKEND, write
from tests.nn.service.ending import wait_until_ended

# The window is the input of an inference, and then what its own writes and a file's bytes go to.
BOTH = """
#include "tiny.h"
#include "onecopy.h"
MAIN {
    struct oc_window *window = oc_need_window("x");
    float *x = oc_data(window), out[4];
    uint32_t shape[] = {4}, nbytes;
    wasi_nn_graph graph;
    wasi_nn_context context;
    wasi_nn_tensor input = {shape, 1, WASI_NN_F32, x, window->nbytes};
    EXPECT(window->rank == 1 && window->shape[0] == 4 && window->flags == 0);
    EXPECT(load_named("twice", &graph) == 0);
    EXPECT(wasi_nn_init_execution_context(graph, &context) == 0);
    EXPECT(wasi_nn_set_input(context, 0, &input) == 0 && wasi_nn_compute(context) == 0);
    EXPECT(wasi_nn_get_output(context, 0, out, sizeof out, &nbytes) == 0);
    EXPECT(nbytes == 16 && out[0] == 2 && out[3] == 8);
    EXPECT(wasi_nn_get_output(context, 0, x, window->nbytes, &nbytes) == 0 && x[3] == 8);
    struct piece piece = {x, 8};
    EXPECT(fd_read(0, &piece, 1, &nbytes) == 0 && nbytes == 8);
    write_bytes(1, x, 16);
}
"""
LIST = """
#include "tiny.h"
#include "onecopy.h"
MAIN {
    struct oc_control *control = oc_control();
    char key[1];
    EXPECT(oc_var_get("k", 1, key, 1) == OC_ERR_DENIED);
    EXPECT(oc_stream_size(0) == OC_ERR_DENIED);
    oc_log(1, "one\\ntwo", 7);
    if (control->window_count > 1) oc_fail("enough", 6);
    proc_exit(control->window_count);
}
"""
WRITER = """
#include "tiny.h"
#include "onecopy.h"
MAIN {
    struct oc_window *window = oc_need_window("x");
    char *x = oc_data(window);
    for (uint32_t i = 0; i < window->nbytes; i++) x[i] = 1;
    EXPECT((int)__builtin_wasm_memory_grow(0, 1) > 0);
    EXPECT((int)__builtin_wasm_memory_grow(0, 16) < 0);
    proc_exit(4);
}
"""
WAITING = """
#include "tiny.h"
#include "onecopy.h"
MAIN {
    char byte = *(char *)oc_data(oc_need_window("x"));
    uint32_t nbytes;
    struct piece piece = {&byte, 1};
    say("ready");
    fd_read(0, &piece, 1, &nbytes);
}
"""
PLAIN = '#include "tiny.h"\nMAIN { say("x"); }'


@pytest.fixture
def store() -> Iterator[Store]:
    with onecopy.start("tensors", capacity="64MiB") as store:
        store.save("x", np.arange(1, 5, dtype=np.float32))
        yield store


@pytest.fixture
def run(command, tmp_path, caches):
    """Runs a guest with windows in a host with a model; returns its status."""
    model = nn.Model(what=str(write(tmp_path / "twice", "affine")), backend=BACKEND)
    with nn.Host({"twice": model}, idle_seconds=0) as host:

        def run(source: str, windows: dict[str, object], **options) -> int:
            wasm = command(source) if "#include" in source else source
            return host.run(wasm, windows=windows, **{"stdin": subprocess.DEVNULL, **options})

        run.host = host
        yield run
    wait_until_ended()


def test_a_window_is_memory_for_inference_and_for_files(run, store, tmp_path):
    (tmp_path / "in").write_bytes(np.array([7, 7], np.float32).tobytes())
    with (tmp_path / "in").open() as stdin, (tmp_path / "out").open("w") as stdout:
        assert run(BOTH, {"x": store.ref("x")}, stdin=stdin, stdout=stdout) == 0
    assert np.fromfile(tmp_path / "out", np.float32).tolist() == [7, 7, 6, 8]
    # What it wrote to the window is seen by nobody else.
    assert store.load("x").tolist() == [1, 2, 3, 4]


def test_without_windows_there_is_an_empty_control_page_and_a_log(run, caplog):
    with caplog.at_level("INFO", "onecopy.nn"):
        assert run(LIST, {}) == 0
    assert r"'one\ntwo'" in caplog.text


def test_a_guest_that_gives_up_says_why(run, store):
    windows = {"x": store.ref("x"), "y": guests.copy_of(np.ones(3))}
    with pytest.raises(GuestTrapped, match="enough"):
        run(LIST, windows)


def test_a_name_that_is_no_windows_is_the_guests_failure(run):
    with pytest.raises(GuestTrapped, match="no window"):
        run(BOTH, {})


def test_windows_come_on_top_of_the_memory_limit(run, store):
    store.save("large", np.zeros(1 << 22, np.uint8))
    assert run(WRITER, {"x": store.ref("large")}, memory_limit=1 << 20) == 4
    with pytest.raises(GuestMemoryExceeded):
        run(WRITER, {"x": store.ref("large")}, memory_limit=1 << 16)
    assert not store.load("large").any()


def test_what_others_can_change_is_refused(run, store):
    store.save("m", np.ones(1024, np.float32), mutable=True, align=4096)
    before = open_files()
    for window in (store.ref("m"), (store.ref("m"), "rw")):
        with pytest.raises(WindowRefused, match="copy_of"):
            run(LIST, {"x": window})
    with pytest.raises(WindowRefused):
        run(LIST, {"x": np.ones(3)})
    assert open_files() == before
    assert run(LIST, {"x": guests.copy_of(store.load("m"))}) == 1


def test_what_storage_has_made_is_still_its_makers(run, store):
    import torch

    with store.storage():
        tensor = torch.ones(1024)
    store.save("a", {"t": tensor}, align=4096)
    with pytest.raises(WindowRefused):
        run(LIST, {"x": guests.part(store.ref("a"), "t")})


@pytest.mark.parametrize(
    "windows",
    [
        {"x" * 40: None},
        {"": None},
        {str(number): None for number in range(25)},
    ],
)
def test_names_and_numbers_are_those_of_all_guests(run, store, windows):
    with pytest.raises(WindowRefused):
        run(LIST, dict.fromkeys(windows, store.ref("x")))


def test_a_guest_that_cannot_find_windows_gets_none(run, store):
    with pytest.raises(InvalidModule, match="imports no function"):
        run(PLAIN, {"x": store.ref("x")})
    assert run(PLAIN, {}, stdout=subprocess.DEVNULL) == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="nobody else may look into the process")
def test_the_process_of_a_guest_has_no_more_of_an_entry_than_its_windows_show(run, store):
    store.save("two", {"a": np.ones(4096, np.uint8), "b": np.ones(4096, np.uint8)}, align=4096)
    (their, stdout), (stdin, mine) = os.pipe(), os.pipe()
    window = guests.part(store.ref("two"), "a")
    options = {"stdin": stdin, "stdout": stdout}
    thread = threading.Thread(target=run, args=(WAITING, {"x": window}), kwargs=options)
    thread.start()
    assert os.read(their, 5) == b"ready"
    (process,) = run.host._guests.running
    of_it = Path(f"/proc/{process.pid}")
    files = [str(each.readlink()) for each in (of_it / "fd").iterdir()]
    lengths = [_length(each) for each in (of_it / "maps").read_text().splitlines() if "two" in each]
    os.write(mine, b"x")
    thread.join()
    for fd in (their, stdout, stdin, mine):
        os.close(fd)
    assert not [each for each in files if "two" in each]
    assert lengths == [4096]


def _length(line: str) -> int:
    start, end = (int(each, 16) for each in line.split()[0].split("-"))
    return end - start


def test_a_removed_entry_stays_in_its_window(run, store):
    ref = store.load("x")
    store.remove("x")
    assert run(LIST, {"x": ref}) == 1
