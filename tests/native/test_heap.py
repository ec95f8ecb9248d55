"""The heap under load: blocks never overlap, whatever the order of events."""

import os
import random
import threading

import pytest
import torch

from onecopy.segments.region import PAGE
from onecopy.tensors.arena import Arena, locate
from tests.prepared import output_of
from tests.tensors.planning import plan

_SIZES = [
    1,
    63,
    64,
    65,
    200,
    1000,
    2047,
    2048,
    2049,
    PAGE,
    PAGE + 1,
    5 * PAGE,
    40 * PAGE,
    80 * PAGE,
]


class Model:
    """Tensors of random sizes, each full of a number of its own; and what was frozen."""

    def __init__(self, seed, arena):
        self.random, self.arena = random.Random(seed), arena
        self.live, self.frozen, self.serial = [], [], 0

    def make(self):
        self.serial = self.serial % 255 + 1
        size = self.random.choice(_SIZES) + self.random.randrange(8)
        self.live.append((torch.full((size,), self.serial, dtype=torch.uint8), self.serial))

    def drop(self):
        if self.live:
            self.live.pop(self.random.randrange(len(self.live)))

    def write(self):
        if self.live:
            index = self.random.randrange(len(self.live))
            self.serial = self.serial % 255 + 1
            tensor, _ = self.live[index]
            self.live[index] = (tensor.fill_(self.serial), self.serial)

    def a_part(self, tensor):
        start = self.random.randrange(len(tensor))
        return tensor[start : start + self.random.randrange(1, 4 * PAGE)]

    def freeze(self):
        chosen = self.random.sample(self.live, min(2, len(self.live)))
        if self.random.random() < 0.5:
            chosen = [(self.a_part(tensor), serial) for tensor, serial in chosen]
        found = plan([(tensor.data_ptr(), tensor.nbytes) for tensor, _ in chosen])
        if found is None:
            return
        extents = [(at, len(tensor)) for at, (tensor, _) in zip(found[1], chosen, strict=True)]
        assert self.arena.freeze(extents)
        self.frozen += [
            (*extent, serial) for extent, (_, serial) in zip(extents, chosen, strict=True)
        ]

    def check(self):
        assert all((tensor == serial).all() for tensor, serial in self.live)
        for offset, nbytes, serial in self.frozen:
            assert os.pread(self.arena.fd, nbytes, offset) == bytes([serial]) * nbytes


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("warm", [0, 1 << 20, 1 << 30])
def test_no_block_ever_changes_another(seed, warm):
    with Arena(512 << 20, "test", warm=warm) as arena:
        keep = torch.ones(1)
        model = Model(seed, arena)
        events = [model.make] * 8 + [model.drop] * 7 + [model.write] * 2
        for step in range(1000):
            model.random.choice(events)()
            if step % 100 == 99:
                model.freeze()
                model.check()
        assert arena.facts.refused == 0
    model.check()
    model.live.clear()
    model.check()
    assert (keep == 1).all()
    frozen = sum(nbytes + 2 * PAGE for _, nbytes, _ in model.frozen)
    assert arena.resident <= frozen + PAGE


def test_freed_blocks_are_used_again():
    with Arena(16 << 20, "test") as arena:
        for _ in range(200):
            made = [torch.empty(size, dtype=torch.uint8) for size in _SIZES]
            del made
        assert arena.facts.refused == 0


def test_a_frozen_page_between_freed_ones_is_not_taken_for_free():
    with Arena(16 << 20, "test") as arena:
        keep = torch.ones(1)
        # Each of these pages has been the first of a free span once.
        pages = [torch.empty(PAGE, dtype=torch.uint8) for _ in range(10)]
        for index in (*range(0, 10, 2), *range(1, 10, 2)):
            pages[index] = None
        block = torch.ones(10 * PAGE, dtype=torch.uint8)
        offset = locate(block.data_ptr(), block.nbytes)[1]
        arena.freeze([(offset + page * PAGE, PAGE) for page in (1, 4, 5, 8)])
        del block
        made = [torch.full((PAGE,), 7, dtype=torch.uint8) for _ in range(20)]
    now = os.pread(arena.fd, 10 * PAGE, offset)
    assert [page for page in range(10) if now[page * PAGE] == 1] == [1, 4, 5, 8]
    assert all((each == 7).all() for each in made)
    assert (keep == 1).all()


def test_freed_neighbours_become_one():
    with Arena(16 << 20, "test") as arena:
        pieces = [torch.empty(PAGE, dtype=torch.uint8) for _ in range(4000)]
        random.Random(1).shuffle(pieces)
        pieces.clear()
        whole = torch.empty(16 << 20, dtype=torch.uint8)
        assert arena.facts.refused == 0
    assert locate(whole.data_ptr(), whole.nbytes) is not None


def test_thousands_of_tiny_tensors_share_pages():
    with Arena(64 << 20, "test") as arena:
        made = [torch.tensor(float(each)) for each in range(20_000)]
        assert arena.facts.refused == 0
    assert arena.resident <= 20_000 * 64 + 2 * PAGE
    assert [each.item() for each in made] == list(range(20_000))
    del made[10:]
    assert arena.resident <= 10 * PAGE


def test_an_absurd_size_is_refused_by_torch_itself():
    assert (
        output_of(
            """
            import torch
            from onecopy.tensors.arena import Arena
            with Arena(1 << 20, "test") as arena:
                try:
                    torch.empty(1 << 60, dtype=torch.uint8)
                except RuntimeError as error:
                    print("can't allocate" in str(error))
                again = torch.ones(10)
            print(arena.facts.refused, again.sum().item())
            """
        )
        == "True\n1 10.0"
    )


def test_blocks_are_freed_in_any_thread():
    with Arena(64 << 20, "test") as arena:
        made = [torch.full((each % 3000 + 1,), 1.0) for each in range(4000)]

    def drop():
        while True:
            try:
                made.pop()
            except IndexError:
                return

    threads = [threading.Thread(target=drop) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not arena.alive
