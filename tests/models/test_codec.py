from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import nn

import onecopy
from onecopy.errors import CorruptEntry, UnsupportedValue
from onecopy.models.codec import codec
from onecopy.tensors import tree
from tests.models import zoo
from tests.processes import output_of
from tests.tensors.roundtrip import file_bytes, roundtrip


@pytest.fixture
def allowed():
    """Allow the classes of the zoo."""
    with torch.serialization.safe_globals(zoo.ALLOWED):
        yield


def same_state(one: nn.Module, other: nn.Module) -> None:
    """Compare classes, names, values and flags of all tensors."""
    modules = list(one.named_modules(remove_duplicate=False))
    others = list(other.named_modules(remove_duplicate=False))
    assert [(name, type(m), m.training) for name, m in modules] == [
        (name, type(m), m.training) for name, m in others
    ]
    for (_, mine), (_, its) in zip(modules, others, strict=True):
        assert vars(mine).keys() == vars(its).keys()
        assert mine._non_persistent_buffers_set == its._non_persistent_buffers_set
        for members in ("_parameters", "_buffers"):
            pairs = zip(vars(mine)[members].items(), vars(its)[members].items(), strict=True)
            for (name, tensor), (its_name, its_tensor) in pairs:
                assert name == its_name
                same_tensor(tensor, its_tensor)


def same_tensor(tensor: Any, other: Any) -> None:
    assert type(tensor) is type(other)
    if tensor is not None:
        assert (tensor.dtype, tensor.requires_grad) == (other.dtype, other.requires_grad)
        assert tensor.stride() == other.stride()
        assert torch.equal(tensor, other)


def first(result: Any) -> torch.Tensor:
    while not isinstance(result, torch.Tensor):
        result = result[0]
    return result


@pytest.mark.parametrize("kind", zoo.TORCH)
def test_a_module_of_torch_comes_back_and_computes_the_same(kind: str) -> None:
    make, inputs = zoo.TORCH[kind]
    module = make()
    loaded = roundtrip(module)
    same_state(module, loaded)
    assert repr(loaded) == repr(module)
    assert torch.equal(first(loaded(*inputs)), first(module(*inputs)))


@pytest.mark.parametrize("kind", zoo.CONTAINERS)
def test_a_container_comes_back(kind: str) -> None:
    module = zoo.CONTAINERS[kind]()
    loaded = roundtrip(module)
    same_state(module, loaded)
    assert repr(loaded) == repr(module)
    assert list(loaded.state_dict()) == list(module.state_dict())


def test_a_tied_parameter_is_one_parameter() -> None:
    loaded = roundtrip(zoo.tied())
    assert loaded["head"].weight is loaded["embedding"].weight


def test_a_shared_module_is_one_module() -> None:
    loaded = roundtrip(zoo.shared())
    assert loaded[0] is loaded[2]


def test_parameters_over_one_storage_share_it() -> None:
    one, other = roundtrip(zoo.views_of_one_storage())
    with torch.no_grad():
        one[4:] = -1.0
    assert torch.equal(other[:4], torch.full((4,), -1.0))


def test_a_module_that_a_program_allows_comes_back(allowed: None) -> None:
    net = zoo.Net()
    loaded = roundtrip(net)
    same_state(net, loaded)
    block = loaded.blocks[0]
    for name in ("scale", "names", "frozen", "window", "big", "config"):
        assert getattr(block, name) == getattr(net.blocks[0], name)
    assert block.act is torch.nn.functional.gelu
    assert block.table.tolist() == [0, 1, 2, 3]
    assert torch.equal(block.mask, torch.tensor([True, False]))
    assert torch.equal(loaded(torch.ones(2, 4)), net(torch.ones(2, 4)))


def test_objects_that_are_one_stay_one(allowed: None) -> None:
    loaded = roundtrip(zoo.Net())
    assert loaded.blocks[0].config is loaded.blocks[1].config
    assert loaded.owner[0] is loaded
    assert loaded.blocks[0].by_step[1][0] is loaded.blocks[0].proj
    assert loaded.blocks[0].config.norm is zoo.Norm.LAYER


def test_attributes_of_a_parameter_are_kept() -> None:
    module = nn.Linear(2, 2)
    module.weight.decay = False
    assert roundtrip(module).weight.decay is False


def test_modules_may_be_anywhere_in_a_value() -> None:
    layer = nn.Linear(2, 2)
    loaded = roundtrip({"models": [layer, nn.ReLU()], "weight": layer.weight, "step": 3})
    assert torch.equal(loaded["models"][0].weight, loaded["weight"])
    assert loaded["models"][0].weight.data_ptr() == loaded["weight"].data_ptr()
    assert loaded["step"] == 3


def test_a_loaded_module_can_be_copied_pickled_and_trained() -> None:
    module = roundtrip(nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.LSTM(3, 2)))
    clone = pickle.loads(pickle.dumps(copy.deepcopy(module)))
    same_state(module, clone)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    module(torch.randn(4, 3))[0].sum().backward()
    optimizer.step()
    assert not torch.equal(module[0].weight, clone[0].weight)


def test_hooks_can_be_added_to_a_loaded_module() -> None:
    module = roundtrip(nn.Linear(2, 2))
    seen = []
    module.register_forward_hook(lambda *_: seen.append(1))
    module(torch.ones(1, 2))
    assert seen == [1]


def test_a_plain_safetensors_reader_finds_the_weights_by_their_names(tmp_path: Any) -> None:
    module = zoo.TORCH["transformer"][0]()
    data = safetensors.torch.load(file_bytes(module))
    for name, tensor in module.state_dict().items():
        assert torch.equal(data[name], tensor)


def test_the_weights_are_not_copied_by_a_load() -> None:
    module = roundtrip(nn.Linear(64, 64), mode="readonly")
    other = roundtrip({"w": module.weight.data})
    assert module.weight.data_ptr() != other["w"].data_ptr()
    assert module.weight.untyped_storage().nbytes() == 64 * 64 * 4


def test_a_module_of_another_version_is_refused() -> None:
    with pytest.raises(CorruptEntry, match="version 99"):
        codec.assemble([99, None, [], []], [])


def test_a_module_of_another_transformers_is_refused() -> None:
    with pytest.raises(UnsupportedValue, match=r"transformers 0\.1"):
        codec.assemble([1, "0.1", [], []], [])


def test_a_module_is_no_leaf() -> None:
    with pytest.raises(CorruptEntry, match="branch"):
        tree.decode([0, "module", [1, None, [], []], []], None)  # type: ignore[arg-type]


_IMPORTED_BY_A_LOAD = """
    import sys
    import onecopy
    with onecopy.start("imports", capacity="1MiB") as store:
        print("onecopy.models.codec" in sys.modules)
        import torch
        torch.nn.Module()  # It imports what it logs with.
        with onecopy.connect("imports") as client:
            store.save_module("net", torch.nn.Linear(2, 2))
            before = set(sys.modules)
            client.load("net")
            print(sorted(set(sys.modules) - before))
"""


def test_what_a_first_load_needs_is_imported_by_connecting_where_torch_is() -> None:
    assert output_of(_IMPORTED_BY_A_LOAD) == "False\n[]"


def test_models_can_be_reached_from_the_package() -> None:
    assert onecopy.models.from_pretrained is not None
