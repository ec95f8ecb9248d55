"""What fork does to arenas: the child has its own view, and touches nothing of the parent's."""

import pytest

from tests.prepared import output_of

# One thread: OpenMP's do not survive a fork. `way` is how tensors get into the arena.
_BEGIN = """
import os, sys, warnings
import torch
from onecopy.native import Unavailable, allocator

from onecopy.tensors.arena import Arena, locate

torch.set_num_threads(1)
warnings.simplefilter("ignore")
if sys.argv[1] == "dispatch":
    def refuse():
        raise Unavailable("this test refuses it")
    allocator.install = refuse

def in_child(work):
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        except BaseException as error:
            print("child:", repr(error), file=sys.stderr, flush=True)
            os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0
"""


@pytest.fixture(params=["native", "dispatch"])
def run(request):
    def run(code):
        return output_of(_BEGIN + code, request.param)

    return run


def test_a_childs_writes_and_frees_never_reach_the_parent(run):
    assert (
        run(
            """
with Arena(64 << 20, "test") as arena:
    large, small = torch.ones(1 << 20), [torch.full((3,), 5.0) for _ in range(200)]

def work():
    global large, small
    assert (large == 1).all()
    large.fill_(2)
    small[0].fill_(2)
    assert (large == 2).all()
    del large, small

in_child(work)
offset = locate(large.data_ptr(), large.nbytes)[1]
assert os.pread(arena.fd, large.nbytes, offset) == torch.ones(1 << 20).numpy().tobytes()
print(large.sum().item(), sum(each.sum().item() for each in small))
"""
        )
        == "1048576.0 3000.0"
    )


def test_a_child_forked_in_the_block_allocates_elsewhere_and_leaves_it(run):
    assert (
        run(
            """
with Arena(64 << 20, "test") as arena:
    keep = torch.ones(1000)
    def work():
        made = torch.ones(1 << 20)
        assert locate(made.data_ptr(), made.nbytes) is None
        assert locate(keep.data_ptr(), keep.nbytes) is None
        assert not arena.alive
        arena.__exit__()
        with Arena(1 << 20, "mine") as mine:
            own = torch.ones(10)
        assert locate(own.data_ptr(), 40)[0] is mine
    in_child(work)
    later = torch.ones(10)
assert locate(later.data_ptr(), 40)[0] is arena
print(keep.sum().item(), arena.facts.open)
"""
        )
        == "1000.0 0"
    )


def test_what_the_parent_frees_stays_readable_for_the_child(run):
    assert (
        run(
            """
with Arena(64 << 20, "test") as arena:
    keep = torch.ones(10)
    large, small = torch.ones(1 << 20), torch.full((3,), 5.0)
to_child, to_parent = os.pipe(), os.pipe()

def work():
    os.write(to_parent[1], b"x")
    os.read(to_child[0], 1)
    assert (large == 1).all() and (small == 5).all()

pid = os.fork()
if pid == 0:
    try:
        work()
        os._exit(0)
    finally:
        os._exit(1)
os.read(to_parent[0], 1)
del large, small
with arena:
    others = [torch.zeros(1 << 20) for _ in range(4)] + [torch.zeros(3) for _ in range(300)]
assert all(locate(each.data_ptr(), each.nbytes) for each in others)
os.write(to_child[1], b"x")
print(os.waitpid(pid, 0)[1])
"""
        )
        == "0"
    )


def test_a_child_keeps_the_private_copies_of_frozen_pages(run):
    assert (
        run(
            """
with Arena(64 << 20, "test") as arena:
    tensor = torch.ones(1 << 20)
arena.freeze([(locate(tensor.data_ptr(), tensor.nbytes)[1], tensor.nbytes)])
tensor.fill_(2)

def work():
    assert (tensor == 2).all()
    tensor.fill_(3)
    def grandchild():
        assert (tensor == 3).all()
        tensor.fill_(4)
    in_child(grandchild)
    assert (tensor == 3).all()

in_child(work)
print((tensor == 2).all().item())
"""
        )
        == "True"
    )


def test_a_child_has_no_descriptor_of_the_arena(run):
    assert (
        run(
            """
with Arena(64 << 20, "test") as arena:
    tensor = torch.ones(1 << 20)

def work():
    names = [os.readlink(f"/proc/self/fd/{each}") for each in os.listdir("/proc/self/fd")[:-1]]
    assert not [each for each in names if "memfd:test" in each], names
    own = os.open("/dev/null", os.O_RDONLY)
    global tensor
    del tensor
    os.fstat(own)  # The end of the arena here has closed nothing of ours.

in_child(work)
print(tensor.sum().item())
"""
        )
        == "1048576.0"
    )


def test_forking_while_other_threads_allocate_never_hangs(run):
    assert (
        run(
            """
import threading
arena = Arena(256 << 20, "test")
stop = threading.Event()

def allocate():
    with arena:
        while not stop.is_set():
            [torch.full((size,), 1.0) for size in (3, 100, 3000)]

with arena:
    keep = torch.ones(10)
threads = [threading.Thread(target=allocate) for _ in range(3)]
for each in threads:
    each.start()
try:
    for _ in range(20):
        def work():
            assert (keep == 1).all()
            with Arena(1 << 20, "mine"):
                torch.ones(10)
        in_child(work)
finally:
    stop.set()
for each in threads:
    each.join()
print((keep == 1).all().item())
"""
        )
        == "True"
    )


def test_leaving_an_inherited_block_gives_back_nothing_of_other_files(run):
    assert (
        run(
            """
with Arena(64 << 20, "test") as arena:
    keep, drop = torch.ones(1000), torch.ones(1 << 20)
    del drop
    number = arena.fd
    def work():
        other = os.memfd_create("other")
        os.dup2(other, number)  # What was the arena's descriptor in the parent.
        os.pwrite(number, bytes([1]) * (8 << 20), 0)
        arena.__exit__()
        assert os.pread(number, 8 << 20, 0) == bytes([1]) * (8 << 20)
    in_child(work)
print(keep.sum().item())
"""
        )
        == "1000.0"
    )


def test_a_child_unmaps_nothing_where_its_parent_had_moved_page_tables(run):
    assert (
        run(
            """
import ctypes, mmap
from tests.maps import mappings_of

with Arena(64 << 20, "test") as arena:
    tensor = torch.ones(8 << 20, dtype=torch.uint8)
inode, base = os.fstat(arena.fd).st_ino, arena.facts.base
arena.freeze([(locate(tensor.data_ptr(), tensor.nbytes)[1], tensor.nbytes)])
aside = [each for each in mappings_of(inode) if not base <= each[0] < base + arena.nbytes]
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]

def work():
    global tensor
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x100000  # MAP_FIXED_NOREPLACE
    for address, nbytes in aside:
        assert libc.mmap(address, nbytes, mmap.PROT_READ | mmap.PROT_WRITE, flags, -1, 0) == address
        ctypes.memset(address, 7, nbytes)
    arena.tidy()
    del tensor
    assert arena.facts is None
    for address, nbytes in aside:
        assert ctypes.string_at(address, nbytes) == bytes([7]) * nbytes

in_child(work)
arena.tidy()
print((tensor == 1).all().item(), len(aside) == (sys.argv[1] == "native"))
"""
        )
        == "True True"
    )
