"""torch's allocator redirected: what of torch is captured, and what the redirection checks."""

import os
import shutil
import warnings
from pathlib import Path

import pytest
import torch

from onecopy import native
from onecopy.tensors.arena import Arena, locate
from tests.conftest import open_files
from tests.native import captured
from tests.prepared import output_of
from tests.tensors.planning import plan

_WIDE = {
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 64,
}
_SMALL = {
    "bert": {**_WIDE, "vocab_size": 100},
    "gpt2": {"n_embd": 32, "n_layer": 1, "n_head": 2, "vocab_size": 100},
    "llama": {**_WIDE, "vocab_size": 100, "num_key_value_heads": 2},
    "t5": {"d_model": 32, "num_layers": 1, "num_heads": 2, "d_ff": 64, "vocab_size": 100},
    "vit": _WIDE,
}

DOCUMENT = Path(__file__).parents[2] / "docs" / "storage.md"


def tensors_of(value):
    if isinstance(value, torch.nn.Module):
        return [*value.parameters(), *value.buffers()]
    return value if isinstance(value, list) else [value]


def is_inside(tensor):
    storage = tensor.untyped_storage()
    return locate(storage.data_ptr(), storage.nbytes()) is not None


@pytest.fixture
def arena():
    arena = Arena(64 << 20, "test")
    yield arena
    arena.close()


@pytest.mark.parametrize("name", captured.CAPTURED)
def test_it_is_captured(arena, name):
    with arena:
        made = tensors_of(captured.CAPTURED[name]())
    assert made
    assert all(is_inside(each) for each in made)


def test_what_is_not_captured_is_listed_in_the_guide(arena, tmp_path):
    text = DOCUMENT.read_text()
    with arena:
        keep = torch.ones(1)
    for name, make in captured.not_captured(tmp_path).items():
        with arena, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = tensors_of(make())
        assert not any(is_inside(each) for each in made), name
        assert f"| {name} |" in text
    assert is_inside(keep)


class TestModels:
    @pytest.mark.parametrize("family", _SMALL)
    def test_a_model_from_its_config_is_captured(self, arena, family):
        transformers = pytest.importorskip("transformers")
        config = transformers.AutoConfig.for_model(family, **_SMALL[family])
        with warnings.catch_warnings(), arena:
            warnings.simplefilter("ignore")
            model = transformers.AutoModel.from_config(config)
        assert all(is_inside(each) for each in model.parameters())
        memory = [(each.data_ptr(), each.nbytes) for each in model.state_dict().values()]
        assert plan(memory) is not None

    @pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs a C++ compiler")
    def test_a_compiled_function_allocates_inside(self):
        # In a process of its own: the compiler changes the state of torch.
        assert (
            output_of(
                """
                import warnings
                warnings.simplefilter("ignore")
                import torch
                from onecopy.tensors.arena import Arena, locate
                torch.set_num_threads(1)
                work = torch.compile(lambda x: (x @ x).relu() + 1)
                x = torch.ones(64, 64)
                with Arena(64 << 20, "test"):
                    made = work(x)
                inside = locate(made.data_ptr(), made.nbytes) is not None
                print(inside, torch.equal(made, (x @ x).relu() + 1))
                """,
                timeout=110,
            )
            == "True True"
        )

    def test_training_goes_on_after_a_freeze_and_is_clean_where_it_is_new(self, arena):
        with arena:
            model = torch.nn.Linear(512, 512)
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        weight = model.weight
        offset = locate(weight.data_ptr(), weight.nbytes)[1]
        saved = weight.detach().clone()
        arena.freeze([(offset, weight.nbytes)])
        model(torch.ones(3, 512)).sum().backward()
        optimizer.step()
        assert not torch.equal(weight, saved)
        assert os.pread(arena.fd, weight.nbytes, offset) == saved.numpy().tobytes()
        assert not is_inside(weight)


class TestInstallation:
    def test_it_happens_once(self):
        before = native.library().quick.onecopy_allocator_active()
        Arena(1 << 20, "test").close()
        Arena(1 << 20, "test").close()
        assert native.library().quick.onecopy_allocator_active() == 1
        assert before in (0, 1)

    def test_a_torch_of_another_shape_is_refused(self):
        assert (
            output_of(
                """
                import ctypes, torch
                from onecopy import native
                reason = ctypes.create_string_buffer(256)
                libc = ctypes.CDLL(None)
                code = native.library().quick.onecopy_allocator_install(
                    ctypes.c_void_p(libc._handle), reason, ctypes.c_size_t(256))
                print(code, reason.value.decode())
                print(torch.ones(3).sum().item())
                """
            )
            == "-1 c10::SetAllocator was not found\n3.0"
        )

    def test_another_allocator_that_was_installed_since_is_respected(self):
        assert (
            output_of(
                """
                import ctypes, warnings
                from pathlib import Path
                import torch
                from onecopy.tensors.arena import Arena, SlowStorageWarning
                libc10 = ctypes.CDLL(str(Path(torch.__file__).with_name("lib") / "libc10.so"))
                default = libc10._ZN3c1022GetDefaultCPUAllocatorEv
                default.restype = ctypes.c_void_p
                Arena(1 << 20, "test").close()
                install = libc10._ZN3c1012SetAllocatorENS_10DeviceTypeEPNS_9AllocatorEh
                install(ctypes.c_int8(0), ctypes.c_void_p(default()), ctypes.c_uint8(255))
                with warnings.catch_warnings(record=True) as caught:
                    warnings.simplefilter("always")
                    Arena(1 << 20, "test").close()
                (warning,) = caught
                print(warning.category is SlowStorageWarning)
                print("installed since" in str(warning.message))
                """
            )
            == "True\nTrue"
        )

    def test_blocks_of_before_are_freed_as_ever(self):
        assert (
            output_of(
                """
                import torch
                before = [torch.ones(size) for size in (1, 100, 1 << 20)]
                from onecopy.tensors.arena import Arena, locate
                with Arena(1 << 20, "test"):
                    before.clear()
                    grown = torch.ones(3).resize_(100)
                print(locate(grown.data_ptr(), 400) is not None)
                """
            )
            == "True"
        )

    def test_the_raw_interface_serves_both_memories(self):
        # Allocator::raw_deleter promises one function for all blocks.
        with Arena(1 << 20, "test") as arena:
            inside = torch.ones(100)
            with torch.profiler.profile(profile_memory=True):
                outside = inside + 1
        assert is_inside(inside)
        assert outside.sum() == 200
        assert arena.alive

    def test_descriptors_of_a_failed_arena_are_closed(self):
        import resource

        before = open_files()
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (1 << 33, hard))
        try:
            with pytest.raises(OSError, match="address space"):
                Arena(1 << 40, "test")
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, hard))
        assert open_files() == before
