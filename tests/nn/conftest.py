"""Fixtures of the tests of WASI-NN."""

from __future__ import annotations

from pathlib import Path

import pytest

from onecopy import guests, nn
from onecopy.nn.service.spot import spots
from tests.nn.arithmetic import BACKEND, write
from tests.nn.gates import Gate
from tests.nn.service.ending import wait_until_ended


@pytest.fixture
def direct() -> bool:
    """One way to open entries is enough: tests/store has both."""
    return True


@pytest.fixture
def gate(tmp_path: Path):
    """Where a model of `arithmetic` waits for the test."""
    gate = Gate(tmp_path / "gate")
    yield gate
    gate.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory):
    """A function that returns a model of default values; one process serves a file's tests."""
    folder = tmp_path_factory.mktemp("shared")
    graphs: dict[str, nn.Graph] = {}

    def load(kind: str) -> nn.Graph:
        if kind not in graphs:
            file = write(folder / kind, kind)
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("ONECOPY_RUNTIME_DIR", str(folder / "run"))
                model = nn.Model(what=str(file), backend=BACKEND)
                graphs[kind] = nn.Host({kind: model}, idle_seconds=0).load(kind)
        return graphs[kind]

    load.spots = lambda: spots(folder / "run" / ".nn")
    yield load
    for each in graphs.values():
        each.close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ONECOPY_RUNTIME_DIR", str(folder / "run"))
        wait_until_ended()


@pytest.fixture
def load(tmp_path: Path):
    """A function that makes a model of `tests.nn.arithmetic` and loads it by a host of its own."""
    graphs, hosts = [], []

    def load(kind: str, config: str = "", **fields) -> nn.Graph:
        file = write(tmp_path / f"{kind}{len(hosts)}", kind, **fields)
        host = nn.Host({kind: nn.Model(what=str(file), backend=BACKEND)}, idle_seconds=0)
        hosts.append(host)
        graphs.append(host.load(kind, config))
        return graphs[-1]

    yield load
    for each in (*graphs, *hosts):
        each.close()
    wait_until_ended()


# It allows tokens that have no letter of its configuration; "!" traps and "." ends at the third.
GUIDE = """
#include "onecopy.h"
static uint32_t mask[OC_MASK_WORDS(131072)];
static char config[64];
static size_t length;
static int calls;
static int is_forbidden(char letter) {
    for (size_t i = 0; i < length; i++)
        if (config[i] == letter) return 1;
    return 0;
}
OC_EXPORT int init_prompt(void) {
    length = oc_config(config, sizeof config);
    return 0;
}
OC_EXPORT int mid_process(void) {
    calls++;
    if (calls == 3 && is_forbidden('!')) __builtin_trap();
    if (calls == 3 && is_forbidden('.')) return oc_stop();
    oc_mask_fill(mask);
    for (uint32_t i = 0; i < oc_control()->vocab; i++) {
        uint32_t size;
        const char *text = oc_token(i, &size);
        if (size == 0 && i != oc_control()->eos) oc_mask_forbid(mask, i);
        for (uint32_t k = 0; k < size; k++)
            if (is_forbidden(text[k])) oc_mask_forbid(mask, i);
    }
    return oc_allow(mask);
}
"""


@pytest.fixture(scope="session")
def guide(tmp_path_factory: pytest.TempPathFactory, zig: str) -> Path:
    """A controller that forbids the letters of its configuration."""
    folder = tmp_path_factory.mktemp("guides")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        patch.setenv("ZIG_GLOBAL_CACHE_DIR", zig)
        patch.setenv("ZIG_LOCAL_CACHE_DIR", zig)
        (folder / "guide.c").write_text(GUIDE)
        (folder / "guide.wasm").write_bytes(guests.build(folder / "guide.c"))
    return folder / "guide.wasm"
