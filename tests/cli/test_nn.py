"""`nn run`: a guest's streams are the command's, and so is its exit status."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.commands import LINE, command, run
from tests.nn.arithmetic import BACKEND, write
from tests.nn.guest.conftest import FLAGS, HOSTILE

pytestmark = pytest.mark.usefixtures("compiler")


@pytest.fixture
def built(tmp_path):
    from onecopy.guests import toolchain

    def build(text: str | Path) -> Path:
        source = tmp_path / "guest.c"
        source.write_text(text if isinstance(text, str) else text.read_text())
        toolchain.build(source, source.with_suffix(".wasm"), FLAGS)
        return source.with_suffix(".wasm")

    return build


ECHO = """
#include "tiny.h"
static char text[4096], *lines[64];
MAIN {
    uint32_t count, nbytes;
    args_sizes_get(&count, &nbytes);
    args_get(lines, text);
    for (uint32_t i = 1; i < count; i++) say(lines[i]), say(";");
    environ_sizes_get(&count, &nbytes);
    environ_get(lines, text);
    for (uint32_t i = 0; i < count; i++) say(lines[i]), say(";");
    struct piece piece = {text, sizeof text};
    while (fd_read(0, &piece, 1, &nbytes) == 0 && nbytes) write_bytes(2, text, nbytes);
    proc_exit(9);
}
"""


def test_the_streams_and_the_status_are_the_guests(built):
    line = [*LINE, "nn", "run", built(ECHO), "-e", "K=v", "--", "a", "-b"]
    done = subprocess.run(line, input=b"in", capture_output=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (9, b"a;-b;K=v;", b"in")


WINDOW = """
#include "tiny.h"
#include "onecopy.h"
MAIN { write_bytes(1, oc_data(oc_need_window("text")), 5); }
"""


def test_entries_of_stores_are_windows(built):
    import onecopy

    with onecopy.start("entries", capacity="16MiB") as store:
        store.save("a/b", b"bytes")
        store.save("m", bytearray(4096), mutable=True, align=4096)
        guest = built(WINDOW)
        assert command("nn", "run", guest, "--window", "text=entries/a/b").stdout == "bytes"
        refused = command("nn", "run", guest, "--window", "text=entries/m:rw", check=False)
        assert refused.returncode != 0
        assert "immutable" in refused.stderr


def test_a_model_is_known_by_its_name(built, tmp_path):
    model = f"twice={write(tmp_path / 'x', 'affine')},backend={BACKEND}"
    done = command("nn", "run", built(HOSTILE / "honest.c"), "--model", model)
    assert done.stdout == "right\n"


def test_why_a_call_was_refused_is_told(built):
    done = command("nn", "run", built(HOSTILE / "honest.c"), check=False)
    assert done.returncode == 1
    assert "model_not_found: no model 'twice'" in done.stderr


@pytest.mark.parametrize(
    ("body", "options", "status", "text"),
    [
        ("__builtin_trap();", [], 134, "onecopy: the guest trapped"),
        ("for (volatile int x = 0;; x++) ;", ["--timeout", "300ms"], 124, "did not end within 0.3"),
        ("static volatile char a[9 << 20]; a[0] = 1;", ["--memory", "8MiB"], 137, "memory_limit"),
    ],
)
def test_how_a_guest_ended_is_told_as_a_shell_does(built, body, options, status, text):
    guest = built(f'#include "tiny.h"\nMAIN {{ {body} }}')
    done = command("nn", "run", *options, guest, check=False)
    assert done.returncode == status
    assert text in done.stderr


def test_a_folder_is_given_by_either_name(built, tmp_path):
    guest = built(
        '#include "tiny.h"\nMAIN { int32_t fd; proc_exit(open_at("x", CREATE, WRITE, &fd)); }'
    )
    (tmp_path / "d").mkdir()
    assert run_status(guest, "--dir", f"{tmp_path / 'd'}:/data:ro") != 0
    assert not (tmp_path / "d" / "x").exists()
    assert run_status(guest, "--dir", tmp_path / "d") == 0
    assert (tmp_path / "d" / "x").exists()


def run_status(guest: Path, *options: object) -> int:
    return command("nn", "run", *options, guest, check=False).returncode


def test_a_file_that_is_no_command_is_refused_in_a_line(tmp_path):
    (tmp_path / "x.wasm").write_bytes(b"\x7fELF")
    done = command("nn", "run", tmp_path / "x.wasm", check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("onecopy: this is no WebAssembly")


def test_the_folder_of_the_header_is_told():
    assert (Path(run("nn", "include").stdout.strip()) / "wasi_nn.h").exists()


def test_nothing_of_it_is_imported_for_other_commands():
    code = "import sys, onecopy.cli.app; print('wasmtime' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "False\n"
