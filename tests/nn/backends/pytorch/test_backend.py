"""PyTorch models of all forms compute what torch itself computes."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import onecopy
from onecopy.nn.backends import registry
from onecopy.nn.backends.backend import Port, Source
from tests.nn.backends.pytorch import zoo as torch_zoo
from tests.nn.backends.pytorch.zoo import entry, exported, load, network, scripted

X = torch.arange(8.0).reshape(2, 4)


def build() -> nn.Module:
    """What a host names as `module=`."""
    return network()


BUILD = f"{__name__}:build"


@pytest.mark.parametrize("form", ["entry", "state dict", "exported", "traced", "script", "weights"])
def test_every_form_gives_what_torch_gives(form: str, tmp_path: Path, store):
    module, path = network(), tmp_path / "model"
    if form == "entry":
        store.save_module("net", module)
        model = entry(store, "net")
    elif form == "state dict":
        store.save("net", module.state_dict())
        model = entry(store, "net", module=BUILD)
    elif form == "exported":
        model = load(exported(path, module, X))
    elif form == "weights":
        torch.save(module.state_dict(), path)
        model = load(path, module=BUILD)
    else:
        model = load(scripted(path, module, *([X] if form == "traced" else [])))
    (found,) = model.infer([X.numpy()])
    with torch.inference_mode():
        assert np.array_equal(found, module(X).numpy())


def test_the_weights_of_an_entry_are_not_copied(store):
    store.save_module("net", nn.Linear(512, 512))
    model = entry(store, "net")
    for weight in model._call._module.parameters():
        assert "memfd:" in _mapping_of(weight.data_ptr())


def _mapping_of(address: int) -> str:
    for line in Path("/proc/self/maps").read_text().splitlines():
        start, end = (int(part, 16) for part in line.split()[0].split("-"))
        if start <= address < end:
            return line
    raise AssertionError("not mapped")


def test_a_state_dict_gives_its_memory_to_the_module(store):
    store.save("weights", network().state_dict())
    model = entry(store, "weights", module=BUILD)
    assert "memfd:" in _mapping_of(model._call._module[0].weight.data_ptr())


def test_entries_of_a_snapshot_are_models_too(store, tmp_path: Path):
    store.save_module("net", network())
    store.save("weights", network().state_dict())
    store.snapshot(tmp_path / "s.onecopy")
    for name, options in (("net", {}), ("weights", {"module": BUILD})):
        found = Source(
            backend="pytorch", store=str(tmp_path / "s.onecopy"), entry=name, options=options
        )
        model = registry.find("pytorch").load(found)
        assert "s.onecopy" in _mapping_of(model._call._module[0].weight.data_ptr())
        assert model.infer([X.numpy()])[0].shape == (2, 3)
    with pytest.raises(onecopy.ModelNotFound):
        registry.find("pytorch").load(
            Source(backend="pytorch", store=str(tmp_path / "absent"), entry="x")
        )


def test_an_exported_program_says_what_it_takes(tmp_path: Path):
    model = load(exported(tmp_path / "m.pt2", network(), X, free=True))
    (taken,), (given,) = model.inputs, model.outputs
    assert (taken.dtype, taken.shape[1], type(taken.shape[0])) == ("f32", 4, str)
    assert (given.dtype, given.shape[1]) == ("f32", 3)
    assert model.infer([np.zeros((7, 4), np.float32)])[0].shape == (7, 3)


def test_trees_of_inputs_and_outputs_are_flat(tmp_path: Path):
    class Trees(nn.Module):
        def forward(self, pair, *, scale):
            return {"sum": pair[0] + pair[1]["x"], "rest": (pair[0] * scale, None)}

    path = exported(tmp_path / "m.pt2", Trees(), (X, {"x": X + 1}), scale=torch.tensor(2.0))
    model = load(path)
    found = model.infer([X.numpy(), 3 * X.numpy(), np.array(5, np.float32)])
    assert [port.shape for port in model.inputs] == [(2, 4), (2, 4), ()]
    assert np.array_equal(found[0], 4 * X)
    assert np.array_equal(found[1], 5 * X)
    assert len(model.outputs) == 2


def test_arguments_of_a_module_are_ports_by_their_names(tmp_path: Path):
    model = _model(torch_zoo.Named())
    assert model.inputs == (
        Port("input_ids", ""),
        Port("attention_mask", "", optional=True),
        Port("bias", "", optional=True),
    )
    ids, bias = np.array([[1, 2]]), np.array([10.0], np.float32)
    plain, biased = model.infer([ids, None, bias])
    assert plain.tolist() == [[1, 2]]
    assert biased.tolist() == [[11, 12]]
    assert [port.name for port in model.outputs] == ["plain", "biased"]
    assert model.infer([ids])[1].tolist() == [[1, 2]]
    with pytest.raises(onecopy.InvalidArgument, match="input_ids"):
        model.infer([None, ids])


def test_models_of_transformers_take_what_their_guests_have(store):
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(
        vocab_size=50,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
    )
    store.save_module("bert", transformers.BertModel(config).eval())
    model = entry(store, "bert")
    names = [port.name for port in model.inputs]
    assert names[:2] == ["input_ids", "attention_mask"]
    assert not {"use_cache", "return_dict", "past_key_values"} & set(names)
    ids, mask = np.array([[1, 2, 3, 0]]), np.array([[1, 1, 1, 0]])
    found = model.infer([ids, mask])
    assert [port.name for port in model.outputs] == ["last_hidden_state", "pooler_output"]
    with torch.inference_mode():
        bert = store.load_module("bert")
        wanted = bert(torch.from_numpy(ids), attention_mask=torch.from_numpy(mask))
    assert np.array_equal(found[0], wanted.last_hidden_state.numpy())
    assert not np.array_equal(found[0], model.infer([ids])[0])
    only = entry(store, "bert", inputs="attention_mask+input_ids")
    assert np.array_equal(only.infer([mask, ids])[0], found[0])


def test_the_host_chooses_which_arguments_are_inputs():
    model = _model(torch_zoo.Named(), inputs="bias+input_ids")
    found = model.infer([np.array([10.0], np.float32), np.array([[1, 2]])])
    assert found[1].tolist() == [[11, 12]]
    for wrong in ("nothing", "bias+bias"):
        with pytest.raises(onecopy.InvalidArgument, match="inputs"):
            _model(torch_zoo.Named(), inputs=wrong)


def _model(module: nn.Module, inputs: str = "", batch: int = 1):
    from onecopy.nn.backends.pytorch import modules as torch_modules

    wanted = inputs.split("+") if inputs else []
    return torch_modules.ModuleModel(module.eval(), wanted, batch)


def test_results_of_any_form_are_flat_in_a_fixed_order():
    def forward(x):
        return [
            torch_zoo.Pair(x, x + 1),
            {"b": x + 2, "a": (x + 3, None)},
            torch_zoo.Record(x + 4),
            5.0,
            True,
        ]

    model = _model(torch_zoo.Forward(forward))
    found = model.infer([np.zeros(1, np.float32)])
    assert [float(part.reshape(-1)[0]) for part in found] == [0, 1, 2, 3, 4, 5, 1]
    names = [port.name for port in model.outputs]
    assert names == ["0.left", "0.right", "1.b", "1.a.0", "2.score", "3", "4"]


def test_results_that_nobody_could_be_told_are_errors():
    many = _model(torch_zoo.Forward(lambda x: [x[0]] * 50_000))
    with pytest.raises(onecopy.InferenceFailed, match="50000"):
        many.infer([X.numpy()])
    deep = _model(torch_zoo.Forward(lambda x: {"n" * 1_000_000: x}))
    with pytest.raises(onecopy.InferenceFailed, match="too many"):
        deep.infer([X.numpy()])


@pytest.mark.parametrize("result", ["a text", object(), [X, {1, 2}]])
def test_results_that_are_no_tensors_are_errors(result):
    with pytest.raises(onecopy.InferenceFailed, match="tensors are wanted"):
        _model(torch_zoo.Forward(lambda x: result)).infer([X.numpy()])


@pytest.mark.parametrize(
    ("made", "wanted"),
    [
        (torch.tensor([True, False]), np.array([1, 0], np.uint8)),
        (torch.tensor([-3, 4], dtype=torch.int8), np.array([-3, 4], np.int32)),
        (torch.tensor([-300], dtype=torch.int16), np.array([-300], np.int32)),
        (torch.tensor([1.5], dtype=torch.bfloat16), np.array([1.5], np.float32)),
        (torch.tensor([1.5], dtype=torch.float8_e4m3fn), np.array([1.5], np.float32)),
        (torch.tensor([9], dtype=torch.uint64), np.array([9], np.int64)),
        (torch.tensor([9], dtype=torch.uint16), np.array([9], np.int32)),
        (torch.tensor(2.0, dtype=torch.float64), np.array(2.0)),
        (torch.zeros(0, 3, dtype=torch.float16), np.zeros((0, 3), np.float16)),
    ],
)
def test_types_that_guests_lack_become_the_nearest(made: torch.Tensor, wanted: np.ndarray):
    (found,) = _model(torch_zoo.Forward(lambda x: made)).infer([X.numpy()])
    assert found.dtype == wanted.dtype
    assert np.array_equal(found, wanted)


@pytest.mark.parametrize(
    "made",
    [
        torch.tensor([1j]),
        torch.tensor([2**63], dtype=torch.uint64),
        torch.eye(2).to_sparse(),
    ],
)
def test_types_without_a_nearest_are_errors(made: torch.Tensor):
    with pytest.raises(onecopy.InferenceFailed):
        _model(torch_zoo.Forward(lambda x: made)).infer([X.numpy()])


def test_a_module_that_writes_to_its_inputs_is_given_copies():
    model = _model(nn.ReLU(inplace=True))
    given = np.full(4, -1, np.float32)
    for _ in range(3):
        assert model.infer([given])[0].tolist() == [0] * 4
    assert given.tolist() == [-1] * 4


def test_an_exported_program_that_writes_to_its_inputs_is_given_copies(tmp_path: Path):
    model = load(exported(tmp_path / "m.pt2", nn.ReLU(inplace=True), torch.ones(4)))
    given = np.full(4, -1, np.float32)
    for _ in range(2):
        assert model.infer([given])[0].tolist() == [0] * 4
    assert given.tolist() == [-1] * 4


def test_inputs_are_not_copied_when_they_are_left_alone():
    seen = []
    model = _model(torch_zoo.Forward(lambda x: seen.append(x.data_ptr()) or x * 2))
    given = np.ones(4, np.float32)
    given.flags.writeable = False
    for _ in range(2):
        model.infer([given])
    assert seen[1] == given.ctypes.data


def test_inputs_may_lie_anyhow():
    model = _model(torch_zoo.Forward(lambda x: x * 2))
    whole = np.arange(24, dtype=np.float32).reshape(4, 6)
    odd = np.frombuffer(b"x" + whole.tobytes(), np.uint8)[1:].view(np.float32)
    for laid in (whole.T, whole[::-1, ::2], odd, whole.astype(">f4")):
        assert np.array_equal(model.infer([laid])[0], laid * 2)


@pytest.mark.parametrize("given", [np.ones(2, np.complex64), np.ones(2, bool), np.array(["x"])])
def test_inputs_of_types_that_guests_lack_are_refused(given: np.ndarray):
    with pytest.raises(onecopy.InvalidArgument, match="one of f16"):
        _model(nn.Identity()).infer([given])


def test_wrong_shapes_types_and_numbers_never_reach_an_exported_program(tmp_path: Path):
    model = load(exported(tmp_path / "m.pt2", network(), X))
    for wrong in (np.ones((2, 5)), np.ones((3, 4)), np.ones(4), np.ones(()), np.ones((2, 4, 1))):
        with pytest.raises(onecopy.InvalidArgument, match="shape"):
            model.infer([wrong.astype(np.float32)])
    with pytest.raises(onecopy.InvalidArgument, match="f64"):
        model.infer([np.ones((2, 4))])
    for count in (0, 2):
        with pytest.raises(onecopy.InvalidArgument, match="input"):
            model.infer([X.numpy()] * count)


def test_sizes_beyond_the_bounds_of_an_export_are_refused(tmp_path: Path):
    model = load(exported(tmp_path / "m.pt2", network(), X, free=True))
    with pytest.raises(onecopy.InvalidArgument, match="4096"):
        model.infer([np.ones((5000, 4), np.float32)])


def test_inputs_are_taken_in_the_nearest_type(tmp_path: Path):
    class Typed(nn.Module):
        def forward(self, flag, small, half):
            return torch.where(flag, small.float(), half.float())

    given = (torch.tensor([True, False]), torch.ones(2, dtype=torch.int8), torch.ones(2).bfloat16())
    model = load(exported(tmp_path / "m.pt2", Typed(), *given))
    assert [port.dtype for port in model.inputs] == ["u8", "i32", "f32"]
    flag, half = np.array([2, 0], np.uint8), np.array([7.5, 1.5], np.float32)
    assert model.infer([flag, np.array([5, 6], np.int32), half])[0].tolist() == [5, 1.5]
    with pytest.raises(onecopy.InvalidArgument, match="does not fit into int8"):
        model.infer([flag, np.array([300, 0], np.int32), half])


def test_torchs_refusals_are_errors_of_inference():
    model = _model(network())
    with pytest.raises(onecopy.InferenceFailed, match="RuntimeError"):
        model.infer([np.ones((2, 5), np.float32)])
    with pytest.raises(onecopy.InferenceFailed, match="memory"):
        _model(torch_zoo.Forward(lambda x: torch.empty(1 << 60))).infer([X.numpy()])
    assert model.infer([X.numpy()])[0].shape == (2, 3)


def test_numbers_that_are_none_pass_through():
    given = np.array([np.nan, np.inf, -np.inf, -0.0], np.float32)
    (found,) = _model(nn.Identity()).infer([given])
    assert found.tobytes() == given.tobytes()


def test_gradients_and_training_mode_are_off(store):
    store.save_module("net", nn.Sequential(nn.Dropout(0.5), nn.Linear(4, 4)).train())
    model = entry(store, "net")
    first, second = (model.infer([X.numpy()])[0] for _ in range(2))
    assert np.array_equal(first, second)


def test_batches_need_a_free_first_dimension(tmp_path: Path):
    free = exported(tmp_path / "free.pt2", network(), X, free=True)
    assert load(free, batch=16).batch == 16
    assert load(free).batch == 1
    fixed = exported(tmp_path / "fixed.pt2", network(), X)
    with pytest.raises(onecopy.InvalidArgument, match="not free"):
        load(fixed, batch=2)
    summed = exported(tmp_path / "sum.pt2", torch_zoo.Forward(torch.sum), X, free=False)
    with pytest.raises(onecopy.InvalidArgument, match="not free"):
        load(summed, batch=2)


@pytest.mark.parametrize(
    "options", [{"thread": 1}, {"threads": "x"}, {"threads": 0}, {"batch": 0}, {"batch": -1}]
)
def test_options_are_checked(options: dict, tmp_path: Path):
    with pytest.raises(onecopy.InvalidArgument):
        load(tmp_path / "absent.pt2", **options)


def test_texts_are_taken_for_numbers(tmp_path: Path):
    load(exported(tmp_path / "m.pt2", network(), X, free=True), threads="1", batch="4")


def test_what_is_not_there_is_not_found(store, tmp_path: Path):
    with pytest.raises(onecopy.ModelNotFound, match="'absent'"):
        entry(store, "absent")
    with pytest.raises(onecopy.ModelNotFound):
        load(tmp_path / "absent.pt2")


def test_entries_that_are_no_modules_say_what_to_give(store):
    store.save("weights", network().state_dict())
    with pytest.raises(onecopy.InvalidModel, match="module=package:callable"):
        entry(store, "weights")
    store.save("text", "hello")
    with pytest.raises(onecopy.InvalidModel):
        entry(store, "text", module=BUILD)
    store.save("other", {"x": torch.ones(1)})
    with pytest.raises(onecopy.InvalidModel, match="other"):
        entry(store, "other", module=BUILD)


@pytest.mark.parametrize(
    "name", ["nothing", "nothing:at_all", "os:nothing", "os:getcwd", ":", "a:"]
)
def test_a_module_that_cannot_be_built_is_refused(name: str, tmp_path: Path):
    torch.save({}, tmp_path / "w.pt")
    with pytest.raises(onecopy.InvalidModel, match="module="):
        load(tmp_path / "w.pt", module=name)


def test_one_file_is_wanted(tmp_path: Path):
    for files in ((), ("a", "b")):
        with pytest.raises(onecopy.InvalidModel, match="one file"):
            registry.find("pytorch").load(Source(backend="pytorch", files=files))


TYPES = ["float16", "float32", "float64", "uint8", "int32", "int64"]


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(TYPES), st.lists(st.integers(0, 4), max_size=4))
def test_any_shape_and_type_gives_what_torch_gives(dtype: str, shape: list[int]):
    x = torch.arange(math.prod(shape)).reshape(shape).to(getattr(torch, dtype))
    with tempfile.TemporaryDirectory() as folder:
        twice = torch_zoo.Forward(lambda x: (x + x, x.sum(), x.flatten() > 1))
        models = [_model(twice), load(exported(Path(folder, "m.pt2"), twice, x))]
        models.append(load(scripted(Path(folder, "m.pt"), twice, x), foreign=True))
        for model in models:
            found = model.infer([x.numpy()])
            for result, wanted in zip(found, twice(x), strict=True):
                assert result.shape == wanted.shape
                assert np.array_equal(result, wanted.numpy())
