"""A window's segment that somebody cuts short meanwhile: a load from there ends its worker.

Segments of memory are sealed, so it takes a directory store and its owner, who makes a file
writable that the store had made read-only.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import onecopy
from onecopy import WindowRefused, WorkerLost
from onecopy.guests import (
    Allowed,
    Controllers,
    Failed,
    Guest,
    Pool,
    Sequence,
    Suspended,
    Vocabulary,
)
from tests.guests.tokenizers_of import byte_level

pytest.importorskip("numpy")

READER = """
#include "onecopy.h"
OC_EXPORT uint32_t last(void) {
    struct oc_window *window = oc_window("data");
    return window ? ((const uint8_t *)oc_data(window))[window->nbytes - 1] : 0;
}
OC_EXPORT int mid_process(void) {
    static uint32_t mask[OC_MASK_WORDS(1000)];
    oc_mask_allow(mask, 5 + last());
    return oc_allow(mask);
}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "store"
    folder.mkdir()
    return folder


@pytest.fixture
def store(folder: Path) -> Iterator[onecopy.Store]:
    with onecopy.start("cut", capacity="16MiB", dir=folder) as store:
        store.save("data", bytes([1]) * 50_000)
        yield store


@pytest.fixture
def pool() -> Iterator[Pool]:
    with Pool(workers=1, guest_ms=5000, step_ms=60_000) as pool:
        yield pool


def cut(folder: Path) -> None:
    (path,) = folder.glob("data*")
    path.chmod(0o600)
    os.truncate(path, 4096)


def test_it_costs_a_guest_its_worker_and_nobody_is_to_blame(
    store: onecopy.Store, folder: Path, pool: Pool, build: Callable[..., bytes]
) -> None:
    module = pool.module(build(READER))
    with Guest(module, {"data": store.ref("data")}, pool=pool) as guest:
        assert guest.call("last") == 1
        cut(folder)
        with pytest.raises(WorkerLost, match="SIGBUS"):
            guest.call("last")
    with Guest(module, pool=pool) as guest:
        assert guest.call("last") == 0
    assert pool.stats()["offences"] == {}


def test_it_costs_the_sequence_that_sees_it_and_the_others_are_rebuilt(
    store: onecopy.Store, folder: Path, pool: Pool, build: Callable[..., bytes]
) -> None:
    with (
        Vocabulary.from_tokenizer(byte_level()) as vocabulary,
        Controllers(None, vocabulary, pool, batch=2) as controllers,
    ):
        module = pool.module(build(READER))
        seeing = controllers.open(module, windows={"data": store.ref("data")})
        other = controllers.open(module)
        assert seen(controllers, seeing, other) == [6, 5]
        cut(folder)
        while (found := seen(controllers, seeing, other))[0] == "waits":
            pass
        assert found[0] == "failed"
        assert isinstance(seeing.error, WindowRefused)  # when it was to be rebuilt
        while (found := seen(controllers, seeing, other))[1] == "waits":
            pass
        assert found[1] == 5


def seen(controllers: Controllers, *sequences: Sequence) -> list[object]:
    """Step, and return the one token that each allows, or what became of it."""
    found: list[object] = []
    step = controllers.step({each: [] for each in sequences})
    for each in sequences:
        answer = step.outcomes[each]
        if isinstance(answer, Suspended):
            with contextlib.suppress(WindowRefused):  # the next step says so
                each.wait(60)
            found.append("waits")
        elif isinstance(answer, Failed):
            found.append("failed")
        else:
            assert isinstance(answer, Allowed)
            row = step.mask_array[each.row]
            found += [t for t in range(1000) if int(row[t // 32]) >> t % 32 & 1]
    return found
