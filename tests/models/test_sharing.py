from __future__ import annotations

import gc
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import nn

import onecopy
from onecopy.errors import EntryExists, InvalidArgument, UnsupportedValue, WeightsMismatch
from onecopy.tensors.checkpoint import open_safetensors
from tests import prepared
from tests.conftest import direct
from tests.models import zoo
from tests.processes import output_of

__all__ = ["direct"]  # Both ways to open entries.


def net() -> nn.Module:
    return nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))


def test_a_module_comes_back_in_another_client(store, client) -> None:
    module = net()
    store.save_module("net", module)
    loaded = client.load_module("net")
    x = torch.randn(3, 8)
    assert torch.equal(loaded(x), module(x))


def test_save_and_load_do_the_same(store, client) -> None:
    store.save("net", net())
    assert isinstance(client.load("net"), nn.Sequential)
    assert isinstance(client.load("net"), nn.Sequential)


def test_the_options_are_those_of_save(store) -> None:
    store.save_module("net", net(), pin=True, ttl=100)
    assert store.stat("net").pinned
    with pytest.raises(EntryExists):
        store.save_module("net", net())
    store.save_module("net", net(), overwrite=True)


def test_load_module_waits(store) -> None:
    import threading

    timer = threading.Timer(0.1, lambda: store.save_module("late", net()))
    timer.start()
    assert isinstance(store.load_module("late", timeout=30), nn.Sequential)
    timer.join()


def test_what_is_no_module_is_refused(store) -> None:
    store.save("dict", {"a": torch.ones(1)})
    with pytest.raises(InvalidArgument, match="load_into"):
        store.load_module("dict")
    with pytest.raises(InvalidArgument, match="a module is needed"):
        store.save_module("x", {"a": torch.ones(1)})
    with pytest.raises(InvalidArgument, match="a module is needed"):
        store.load_into({}, "dict")
    assert "x" not in store


def test_a_refused_module_leaves_the_store_as_it_was(store) -> None:
    with pytest.raises(UnsupportedValue, match="Net"):
        store.save_module("net", zoo.Net())
    assert store.names() == []


def test_updates_in_place_stay_private(store, client) -> None:
    store.save_module("net", net())
    mine = store.load_module("net")
    optimizer = torch.optim.SGD(mine.parameters(), lr=0.1)
    before = mine[0].weight.clone()
    mine(torch.randn(4, 8)).sum().backward()
    optimizer.step()
    assert not torch.equal(mine[0].weight, before)
    assert torch.equal(client.load_module("net")[0].weight, before)


def test_updates_of_a_mutable_module_are_seen_by_all(store, client) -> None:
    store.save_module("net", net(), mutable=True)
    mine, other = store.load_module("net"), client.load_module("net")
    with torch.no_grad():
        mine[0].weight.fill_(3.0)
    assert torch.equal(other[0].weight, torch.full((8, 8), 3.0))


def test_a_loaded_module_outlives_store_and_entry() -> None:
    with onecopy.start("short", capacity="16MiB") as store:
        module = net()
        store.save_module("net", module)
        loaded = store.load_module("net")
        store.remove("net")
    assert torch.equal(loaded[0].weight, module[0].weight)


def test_a_loaded_module_keeps_its_entry_in_use(store) -> None:
    store.save_module("net", net())
    loaded = store.load_module("net")
    assert store.stat("net").in_use
    del loaded
    gc.collect()
    assert not store.stat("net").in_use


@pytest.mark.parametrize("form", ["module", "state dict", "safetensors"])
def test_load_into_takes_whatever_holds_weights(store, client, form: str, tmp_path: Any) -> None:
    source, target = net(), net()
    if form == "module":
        store.save_module("net", source)
    elif form == "state dict":
        store.save("net", source.state_dict())
    else:
        safetensors.torch.save_file(source.state_dict(), tmp_path / "net.safetensors")
        store.save("net", open_safetensors(tmp_path / "net.safetensors"))
    before = list(target.parameters())
    assert client.load_into(target, "net") == ([], [])
    assert all(a is b for a, b in zip(before, target.parameters(), strict=True))
    x = torch.randn(3, 8)
    assert torch.equal(target(x), source(x))


def test_load_into_needs_no_class_to_be_allowed(store) -> None:
    source, target = zoo.Net(), zoo.Net()
    with torch.serialization.safe_globals(zoo.ALLOWED):
        store.save_module("net", source)
    with pytest.raises(UnsupportedValue, match="Net"):
        store.load_module("net")
    store.load_into(target, "net")
    x = torch.randn(3, 4)
    assert torch.equal(target(x), source(x))


def test_load_into_reports_what_does_not_fit(store) -> None:
    store.save_module("net", net())
    with pytest.raises(WeightsMismatch, match=r"unexpected: 2\.weight"):
        store.load_into(nn.Sequential(nn.Linear(8, 8)), "net")
    found = store.load_into(nn.Sequential(nn.Linear(8, 8)), "net", strict=False)
    assert found.unexpected_keys == ["2.weight", "2.bias"]


def test_load_into_refuses_what_has_no_names(store) -> None:
    store.save("list", [torch.ones(1)])
    with pytest.raises(InvalidArgument, match="holds a list"):
        store.load_into(net(), "list")


def test_loading_weights_leaves_loads_of_modules_alone(store) -> None:
    store.save_module("net", net())
    store.load_into(net(), "net")
    assert isinstance(store.load("net"), nn.Sequential)


def test_an_adopted_module_computes_the_same_over_the_stored_copy(store, client) -> None:
    module = net()
    x = torch.randn(3, 8)
    parameters, expected = list(module.parameters()), module(x)
    addresses = [parameter.data_ptr() for parameter in parameters]
    store.adopt(module, "net")
    assert all(a is b for a, b in zip(parameters, module.parameters(), strict=True))
    assert not {p.data_ptr() for p in parameters} & set(addresses)
    assert torch.equal(module(x), expected)
    assert store.stat("net").in_use
    other = net()
    client.load_into(other, "net")
    assert torch.equal(other(x), expected)


def test_modules_that_adopt_a_mutable_entry_train_together(store, client) -> None:
    module, other = net(), net()
    store.adopt(module, "net", mutable=True)
    client.load_into(other, "net")
    with torch.no_grad():
        module[0].bias.fill_(7.0)
    assert torch.equal(other[0].bias, torch.full((8,), 7.0))


def test_any_module_can_be_adopted(store) -> None:
    module = zoo.WithLambda()
    store.adopt(module, "net")
    assert torch.equal(store.load("net")["inner.weight"], module.inner.weight)


TRAIN = """
    import os
    import onecopy, torch, torch._dynamo  # which an optimizer imports
    torch.set_num_threads(1)
    child = os.fork()  # before the store is met: they are two who have all this imported
    rank = int(child > 0)
    torch.manual_seed(rank)
    with onecopy.connect("test", timeout=30) as store:
        model = store.load_module("model")
        store.save(f"ready/{rank}", b"")
        store.load(["ready/0", "ready/1"], timeout=60)  # so that both train at a time
        optimizer = torch.optim.SGD(model.parameters(), lr=0.02)
        target = torch.arange(4.0)
        for _ in range(300):
            x = torch.randn(16, 4)
            loss = (model(x).squeeze(-1) - x @ target).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    assert not child or os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.parametrize("direct", ["direct"], indirect=True)
def test_two_processes_train_one_mutable_module_hogwild(store) -> None:
    model = nn.Linear(4, 1)
    store.save_module("model", model, mutable=True)
    prepared.output_of(TRAIN, timeout=90)
    trained = store.load_module("model")
    torch.testing.assert_close(trained.weight, torch.arange(4.0)[None], atol=0.05, rtol=0)


def test_a_fresh_process_loads_a_module_without_anything_else(store) -> None:
    torch.manual_seed(0)
    module = zoo.TORCH["transformer"][0]()
    store.save_module("net", module)
    code = """
        import onecopy
        with onecopy.connect("test") as store:
            net = store.load_module("net")
        print(type(net).__name__, sum(float(p.double().sum()) for p in net.parameters()))
    """
    total = sum(float(p.detach().double().sum()) for p in module.parameters())
    assert output_of(code) == f"Transformer {total}"
