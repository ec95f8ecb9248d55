"""From a plan to a planned module: what is recorded, and that nothing changes by it."""

import logging

import pytest
import torch
from torch.export import Dim

from onecopy import planner
from onecopy.errors import InvalidArgument
from onecopy.planner.running.bind import bind, bind_module, record_module
from tests.planner.running.models import Decoder, Mlp, same


class Counter(torch.nn.Module):
    """Writes to a buffer in each run, and draws random numbers."""

    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))
        self.register_buffer("table", torch.arange(5.0))

    def forward(self, x):
        self.calls += 1
        return torch.nn.functional.dropout(x, 0.5, training=True) * self.table.sum()


class Lazy(torch.nn.Module):
    """Makes a table in its first run, and keeps it."""

    table = None

    def forward(self, x):
        if self.table is None:
            self.table = torch.arange(1000.0)
        return x * self.table.sum()


def test_binding_changes_neither_buffers_nor_random_numbers():
    module = Counter()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    version = module.table._version
    with bind_module(module, (torch.ones(10),)) as run:
        assert module.calls == 0
        assert module.table._version == version
        assert torch.equal(torch.rand(3), expected)
        run(torch.ones(10))
    assert module.calls == 1


def test_what_a_module_makes_once_is_no_part_of_a_run():
    assert len(record_module(Lazy(), (torch.ones(5),), {}).allocations) == 2


def test_a_plan_is_recorded_once_and_saves_its_recording(tmp_path):
    module = Mlp().eval()
    rows = Dim("rows", min=1, max=64)
    plan = planner.plan(module, (torch.rand(4, 32),), dynamic_shapes={"x": {0: rows}})
    with plan.bind() as run:
        recording = plan.recording
        for n in (1, 30, 64, 65):
            x = torch.rand(n, 32)
            assert same(run(x), module(x))
        assert run.stats().arena_nbytes >= 64 * 32 * 4
    with plan.bind():
        assert plan.recording is recording
    plan.save(tmp_path / "a.plan")
    loaded = planner.Plan.load(tmp_path / "a.plan", module)
    assert loaded.recording == recording
    with bind(loaded) as run:
        assert same(run(x), module(x))


def test_compiled_modules_run_as_compiled():
    module = Decoder().eval()
    compiled = torch.compile(module, dynamic=True, backend="aot_eager")
    with bind_module(compiled, (torch.rand(4, 64, 32),)) as run:
        for b, s in ((4, 64), (3, 20), (2, 7), (4, 63)):
            x = torch.rand(b, s, 32)
            assert same(run(x), compiled(x))
        stats = run.stats()
    assert stats.misses == 0
    assert stats.hits > 0


@pytest.mark.parametrize("option", [{"output": "all"}, {"on_miss": "abort"}])
def test_unknown_choices_are_refused_before_anything_runs(option):
    def never(x):
        raise AssertionError

    with pytest.raises(InvalidArgument, match="is one of"):
        bind_module(never, (torch.ones(1),), **option)


def test_a_tensor_by_itself_is_no_list_of_arguments():
    with pytest.raises(InvalidArgument, match="args are a tuple"):
        bind_module(Mlp(), torch.ones(8, 32))


class TestTransformers:
    @pytest.fixture(params=["gpt2", "llama"])
    def model(self, request):
        transformers = pytest.importorskip("transformers")
        torch.manual_seed(0)
        ends = {"bos_token_id": 0, "eos_token_id": 0}
        if request.param == "gpt2":
            config = transformers.GPT2Config(
                n_embd=32, n_layer=2, n_head=2, vocab_size=100, n_positions=64, **ends
            )
            return transformers.GPT2LMHeadModel(config).eval()
        config = transformers.LlamaConfig(
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            vocab_size=100,
            **ends,
        )
        return transformers.LlamaForCausalLM(config).eval()

    def test_hidden_states_and_caches_that_it_returns_are_outputs(self, model, caplog):
        options = {"output_hidden_states": True, "use_cache": True}
        tokens = torch.randint(0, 100, (3, 32))
        with (
            caplog.at_level(logging.WARNING),
            bind_module(model, (tokens,), options) as run,
        ):
            held = []
            for b, s in ((3, 32), (1, 1), (2, 17), (3, 5), (1, 32)):
                tokens = torch.randint(0, 100, (b, s))
                held.append((run(tokens, **options), model(tokens, **options)))
            for one, other in held:
                assert same(one.logits, other.logits)
                assert same(one.hidden_states, other.hidden_states)
                for layer, expected in zip(one.past_key_values, other.past_key_values, strict=True):
                    assert same(layer[0], expected[0])
                    assert same(layer[1], expected[1])
            assert run.stats().misses == 0
            assert run.stats().arenas_held == 0


def test_arguments_may_have_any_name():
    class Named(torch.nn.Module):
        def forward(self, x, limit, function):
            return torch.sin(x) * limit + function

    named = {"limit": torch.ones(8), "function": torch.ones(8)}
    with bind_module(Named(), (torch.rand(8),), named) as run:
        x = torch.rand(8)
        assert torch.equal(run(x, **named), run.module(x, **named))
        assert run.stats().misses == 0
