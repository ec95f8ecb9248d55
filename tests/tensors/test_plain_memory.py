"""The arena without the C library: what differs from the other one."""

import torch

from onecopy.segments import region
from onecopy.segments.region import PAGE
from onecopy.tensors import plain_memory
from onecopy.tensors.plain_memory import PlainMemory
from tests.prepared import output_of


def memory_of(pages):
    fd = region.create("test", pages * PAGE)
    return PlainMemory(fd, region.reopen(fd), pages * PAGE)


def test_blocks_have_pages_of_their_own():
    memory = memory_of(4)
    one, two = memory.allocate(1), memory.allocate(PAGE + 1)
    assert (one.first, one.pages) == (0, 1)
    assert (two.first, two.pages) == (1, 2)
    assert memory.facts().used == 3 * PAGE
    memory.release()


def test_a_full_memory_refuses_and_counts():
    memory = memory_of(1)
    block = memory.allocate(1)
    assert memory.allocate(1) is None
    assert memory.facts().refused == 1
    del block
    assert memory.allocate(1) is not None
    memory.release()


def test_a_block_keeps_the_memory():
    memory = memory_of(1)
    tensor = torch.frombuffer(memory.allocate(4), dtype=torch.int32, count=1)
    number = memory.id
    memory.release()
    del memory
    assert plain_memory.locate(tensor.data_ptr(), 4) == (number, 0)
    tensor.fill_(3)
    assert tensor.item() == 3
    del tensor
    assert number not in plain_memory.memories


def test_tensors_that_live_until_the_interpreter_ends_do_no_harm():
    assert (
        output_of(
            """
            import torch
            from onecopy.segments import region
            from onecopy.tensors.plain_memory import PlainMemory
            fd = region.create("test", 1 << 20)
            memory = PlainMemory(fd, region.reopen(fd), 1 << 20)
            tensor = torch.frombuffer(memory.allocate(4), dtype=torch.int32, count=1)
            cycle = [tensor]
            cycle.append(cycle)
            print("done")
            """
        )
        == "done"
    )
