"""Entries whose skeleton tries to run code: a load refuses, imports nothing and calls nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch

import onecopy
from onecopy.errors import CorruptEntry, OnecopyError, UnsupportedValue
from onecopy.store import messages
from onecopy.tensors import spec as specs
from tests.attacks.raw import RawClient, Segment

LINEAR = "torch.nn.modules.linear.Linear"
RELU = "torch.nn.modules.activation.ReLU"

Load = Callable[..., Any]


@pytest.fixture(scope="module")
def shared_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[onecopy.Store]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ONECOPY_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))
        with onecopy.start("test", capacity="64MiB") as store:
            yield store


@pytest.fixture
def load(shared_store: onecopy.Store, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Return a function that saves a skeleton by hand, and loads it as a victim does."""
    monkeypatch.setenv("ONECOPY_RUNTIME_DIR", str(shared_store._connection.place.base))

    def load(classes: Any, objects: Any, parts: Any = (), transformers: Any = None) -> Any:
        node = [6, "module", [1, transformers, classes, objects], *parts]
        packed = msgspec.msgpack.encode([specs.VERSION, [[0, 64]], node])
        with Segment(bytes(64), packed) as segment, RawClient() as raw:
            reply = raw.ask(segment.message("evil", overwrite=True), [segment.fd])
            assert isinstance(reply, messages.Done), reply
        return shared_store.load_module("evil")

    return load


@pytest.fixture
def trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Put a module on the path that leaves a file when it is imported."""
    sprung = tmp_path / "sprung"
    source = f"open({str(sprung)!r}, 'w').close()\nimport torch\nclass Net(torch.nn.Module): pass\n"
    (tmp_path / "onecopy_trap.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield sprung
    assert not sprung.exists()
    assert "onecopy_trap" not in sys.modules


def module(kind: int = 0, **fields: Any) -> list[Any]:
    """Return the node of a module, with some of its fields set."""
    names = ("training", "attributes", "parameters", "buffers", "transient", "children")
    default = {"training": True}
    return [0, kind, *(fields.get(name, default.get(name, [])) for name in names)]


def tensor(dtype: str = "float32", flags: int = 0, count: int = 4) -> list[Any]:
    """Return the part of a tensor over the 64 bytes of the segment."""
    return [0, "torch", [dtype, [count], None, flags], [0, 0]]


def test_an_honest_skeleton_loads(load: Load) -> None:
    loaded = load(
        [LINEAR],
        [module(attributes=["in_features", 4], parameters=["weight", 1, "bias", None]), [1, 0, []]],
        [tensor(flags=1)],
    )
    assert isinstance(loaded, torch.nn.Linear)
    assert loaded.weight.tolist() == [0.0] * 4


@pytest.mark.parametrize(
    "path",
    [
        "onecopy_trap.Net",
        "torch.nn.modules.onecopy_trap.Net",
        "torch.nn.modules..onecopy_trap.Net",
        "transformers.models.bert.modeling_onecopy_trap.Net",
        "transformers.models.bert.modeling_bert.torch.nn.Module",
        "transformers.models.bert.modeling_bert.nn",
        "transformers.models.bert.modeling_bert.Path",
        "transformers.models.bert.convert_bert.Net",
        "transformers.models.bert.modeling_bert\n.BertModel",
        "transformers.models.../onecopy_trap.modeling_x.Net",
        "transformers.trainer.Trainer",
        "transformers.pipelines.pipeline",
        "transformers_modules.evil.modeling_evil.Net",
        "torch.nn.modules.linear.torch",
        "torch.nn.modules.linear.Tensor",
        "torch.nn.modules.linear.F",
        "torch.nn.parallel.distributed.DistributedDataParallel",
        "torch.jit._script.ScriptModule",
        "torch.fx.graph_module.GraphModule",
        "torch.nn.modules.module.Module.forward",
        "subprocess.Popen",
        "builtins.eval",
        "builtins.type",
        "os.system",
        "",
        ".",
    ],
)
def test_a_class_that_is_not_allowed_is_not_looked_up(load: Load, trap: Path, path: str) -> None:
    with pytest.raises(UnsupportedValue):
        load([path], [module()])


@pytest.mark.parametrize("path", [None, 7, [], {"a": 1}, b"torch.nn.modules.linear.Linear"])
def test_a_path_that_is_no_text_is_refused(load: Load, path: Any) -> None:
    with pytest.raises(OnecopyError):
        load([path], [module()])


@pytest.mark.parametrize(
    "name",
    [
        "__class__",
        "__dict__",
        "__reduce__",
        "__getattr__",
        "__call__",
        "forward",
        "_forward_hooks",
        "_forward_pre_hooks",
        "_backward_hooks",
        "_state_dict_hooks",
        "_load_state_dict_post_hooks",
        "_parameters",
        "_modules",
        "_non_persistent_buffers_set",
        "_compiled_call_impl",
        "_call_impl",
        "_slow_forward",
        "state_dict",
        "extra_repr",
        "named_parameters",
        "to",
        "T_destination",
        "training",
        "_use_kernels",
    ],
)
def test_an_attribute_that_code_looks_up_cannot_be_set(load: Load, name: str) -> None:
    with pytest.raises(CorruptEntry, match=name):
        load([LINEAR], [module(attributes=[name, [7, "torch.tanh"]])])


@pytest.mark.parametrize("name", [None, 7, 1.5, True, ["x"]])
def test_an_attribute_whose_name_is_no_text_is_refused(load: Load, name: Any) -> None:
    with pytest.raises(CorruptEntry):
        load([LINEAR], [module(attributes=[name, 1])])


@pytest.mark.parametrize(
    "name",
    [
        "os.system",
        "torch.load",
        "torch.hub.load",
        "torch.nn.functional.torch.load",
        "torch.nn.functional.boolean_dispatch",
        "torch.nn.functional.handle_torch_function",
        "torch.nn.functional.__builtins__",
        "torch.save",
        "builtins.eval",
        "transformers.modeling_rope_utils.ROPE_INIT_FUNCTIONS.update",
        "transformers.utils.hub.cached_file",
        None,
        7,
    ],
)
def test_a_function_that_is_not_allowed_is_not_looked_up(load: Load, name: Any) -> None:
    with pytest.raises(OnecopyError):
        load([LINEAR], [module(attributes=["act", [7, name]])])


@pytest.mark.parametrize("name", ["data", "grad", "_backward_hooks", "__class__", "numpy", "shape"])
def test_a_tensor_cannot_get_an_attribute_that_code_looks_up(load: Load, name: str) -> None:
    with pytest.raises(CorruptEntry, match=name):
        load([LINEAR], [module(buffers=["x", 1]), [1, 0, [name, 1]]], [tensor()])


@pytest.mark.parametrize(
    "members",
    [
        {"parameters": ["weight", 0]},
        {"parameters": ["weight", 1]},
        {"parameters": ["weight", 2]},
        {"buffers": ["x", 2]},
        {"buffers": ["x", 0]},
        {"children": ["x", 1]},
        {"children": ["x", 2]},
        {"children": ["x", 99]},
        {"children": ["x", "y"]},
        {"children": ["x"]},
        {"children": [7, 0]},
        {"children": [["x"], 0]},
        {"transient": [7]},
        {"training": 7},
        {"attributes": 3},
    ],
)
def test_a_member_of_the_wrong_kind_is_refused(load: Load, members: Any) -> None:
    with pytest.raises(CorruptEntry):
        load([LINEAR], [module(**members), [1, 0, []], [2, 1, 2]], [tensor()])


@pytest.mark.parametrize(
    "root",
    [
        [1, 0, []],
        [2],
        [3, "a", 1],
        [6, 0, []],
        [6, 0, ["_forward_hooks", [0, 1]]],
        [0, 1, True, [], [], [], [], []],
        [0, -7, True, [], [], [], [], []],
        [0, 0],
        [99],
        [],
        None,
        "module",
    ],
)
def test_a_root_that_is_no_module_is_refused(load: Load, root: Any) -> None:
    with pytest.raises(CorruptEntry):
        load([LINEAR], [root, [3, 1, [7, "torch.tanh"]]], [tensor()])


def test_no_object_at_all_is_refused(load: Load) -> None:
    with pytest.raises(CorruptEntry):
        load([], [])


@pytest.mark.parametrize(
    "value",
    [
        [99, 1],
        [],
        [0],
        [0, 99],
        [0, None],
        [3, "load"],
        [3, "__builtins__"],
        [3, "nn"],
        [3, "_inductor"],
        [4, "nowhere"],
        [4, 7],
        [5, 1, 2, 3, 4],
        [6, "x"],
        [6, "9" * 5000],
        [6, 1.5],
        [8, 0, "x"],
        [8, 0, "__class__"],
        [9, 2],
        [10, [0, 2]],
        [2, "x"],
        [1, [10, [0, 2]]],
    ],
)
def test_a_value_that_nobody_writes_is_refused(load: Load, value: Any) -> None:
    with pytest.raises(CorruptEntry):
        load([LINEAR], [module(attributes=["x", value]), [1, 0, []], [2]], [tensor()])


def test_a_value_nested_without_end_is_refused(load: Load) -> None:
    value: Any = 1
    for _ in range(900):
        value = [1, value]
    with pytest.raises(CorruptEntry):
        load([LINEAR], [module(attributes=["x", value])])


def test_children_in_a_circle_have_no_end_of_names(load: Load, shared_store: Any) -> None:
    load([LINEAR], [module(children=["again", 0])])
    with pytest.raises(CorruptEntry, match="nested"):
        shared_store.load_into(torch.nn.Linear(2, 2), "evil")


def test_a_thousand_million_names_are_refused(load: Load, shared_store: Any) -> None:
    chain = [module(children=["a", i + 1, "b", i + 1]) for i in range(40)]
    load([LINEAR], [*chain, module()])
    with pytest.raises(CorruptEntry, match="more than"):
        shared_store.load_into(torch.nn.Linear(2, 2), "evil")


class Recorder:
    """A class that a program allows, all of whose methods tell when they run."""

    calls: list[str] = []

    def __new__(cls) -> Any:
        cls.calls.append("new")
        return super().__new__(cls)

    def __init__(self) -> None:
        self.calls.append("init")

    def __setstate__(self, state: object) -> None:
        self.calls.append("setstate")

    def __setattr__(self, name: str, value: object) -> None:
        self.calls.append("setattr")

    def __reduce__(self) -> Any:
        self.calls.append("reduce")
        return Recorder, ()


def test_no_method_of_an_allowed_class_runs(load: Load) -> None:
    path = f"{Recorder.__module__}.Recorder"
    objects = [module(attributes=["x", [0, 1]]), [6, 1, ["state", 5]]]
    with torch.serialization.safe_globals([Recorder]):
        loaded = load([RELU, path], objects)
    assert loaded.x.state == 5
    assert Recorder.calls == []


def test_an_allowed_function_is_no_class(load: Load) -> None:
    with (
        torch.serialization.safe_globals([(exec, "evil.exec"), (getattr, "evil.getattr")]),
        pytest.raises(UnsupportedValue, match=r"evil\.exec"),
    ):
        load(["evil.exec"], [module()])


def test_an_allowed_class_of_no_plain_state_is_not_made(load: Load) -> None:
    with (
        torch.serialization.safe_globals([(slice, "evil.slice")]),
        pytest.raises(CorruptEntry, match="plain"),
    ):
        load([RELU, "evil.slice"], [module(attributes=["x", [0, 1]]), [6, 1, []]])


def test_the_class_is_no_longer_allowed_when_the_context_has_ended(load: Load) -> None:
    path = f"{Recorder.__module__}.Recorder"
    with pytest.raises(UnsupportedValue, match="add_safe_globals"):
        load([RELU, path], [module(attributes=["x", [0, 1]]), [6, 1, []]])


def test_a_part_that_lies_about_its_bytes_is_refused(load: Load) -> None:
    with pytest.raises(CorruptEntry):
        load([LINEAR], [module(buffers=["x", 1]), [1, 0, []]], [tensor(count=1000)])
