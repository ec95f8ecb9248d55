"""GGUF models; llama-cpp-python builds for minutes, so that `make test` leaves these out.

pip install onecopy[llamacpp] gguf && pytest tests/nn/backends/test_llamacpp.py
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from onecopy import (
    ContextFull,
    EndOfSequence,
    InferenceFailed,
    InvalidArgument,
    InvalidModel,
    PromptTooLong,
    UnsupportedOperation,
)
from onecopy.nn.backends.backend import Source
from onecopy.nn.backends.llamacpp.backend import LlamaCpp

pytest.importorskip("llama_cpp")
gguf = pytest.importorskip("gguf")
torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from tests.nn.backends.text.zoo import CONTEXT, generate, llama, tokenizer  # noqa: E402

SCHEMA = {
    "type": "object",
    "properties": {
        "n": {"type": "integer", "minimum": 0, "maximum": 99},
        "ok": {"type": "boolean"},
    },
    "required": ["n", "ok"],
    "additionalProperties": False,
}


def write(path: Path) -> Path:
    """The zoo's Llama as a GGUF file, as llama.cpp's converter would write it."""
    model = llama()
    config = model.config
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_rope_freq_base(10_000.0)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    _add_tokens(writer, config.vocab_size)
    _add_weights(writer, model)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_tokens(writer, size: int) -> None:
    state = json.loads(tokenizer().backend_tokenizer.to_str())["model"]
    tokens = {number: text for text, number in state["vocab"].items()}
    texts = [tokens.get(i, f"[PAD{i}]") for i in range(size)]
    kinds = [gguf.TokenType.NORMAL if i in tokens else gguf.TokenType.UNUSED for i in range(size)]
    kinds[0] = gguf.TokenType.CONTROL
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(texts)
    writer.add_token_types(kinds)
    merges = [each if isinstance(each, str) else " ".join(each) for each in state["merges"]]
    writer.add_token_merges(merges)
    writer.add_eos_token_id(0)
    writer.add_add_bos_token(False)


def _add_weights(writer, model) -> None:
    config = model.config
    names = {
        "self_attn.q_proj": ("attn_q", config.num_attention_heads),
        "self_attn.k_proj": ("attn_k", config.num_key_value_heads),
        "self_attn.v_proj": ("attn_v", 0),
        "self_attn.o_proj": ("attn_output", 0),
        "mlp.gate_proj": ("ffn_gate", 0),
        "mlp.up_proj": ("ffn_up", 0),
        "mlp.down_proj": ("ffn_down", 0),
        "input_layernorm": ("attn_norm", 0),
        "post_attention_layernorm": ("ffn_norm", 0),
    }
    weights = {name: tensor.detach() for name, tensor in model.state_dict().items()}
    add = lambda name, tensor: writer.add_tensor(f"{name}.weight", tensor.contiguous().numpy())  # noqa: E731
    add("token_embd", weights["model.embed_tokens.weight"])
    add("output_norm", weights["model.norm.weight"])
    add("output", weights["lm_head.weight"])
    for layer in range(config.num_hidden_layers):
        for theirs, (ours, heads) in names.items():
            tensor = weights[f"model.layers.{layer}.{theirs}.weight"]
            add(f"blk.{layer}.{ours}", _permuted(tensor, heads) if heads else tensor)


def _permuted(tensor, heads: int):
    """llama.cpp rotates neighbours, transformers halves."""
    rows, columns = tensor.shape
    return tensor.view(heads, 2, rows // heads // 2, columns).transpose(1, 2).reshape(rows, columns)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


def load(path: Path, foreign: bool = False, **options):
    known = {"temp": 0, "threads": 1, **options}
    source = Source(backend="llamacpp", files=(str(path),), foreign=foreign, options=known)
    return LlamaCpp().load(source)


@pytest.fixture(scope="module")
def model(path: Path):
    model = load(path)
    yield model
    model.close()
    model.close()


@pytest.mark.parametrize("prompt", ["the quick", "你好", "Grüße aus Köln, the lazy dog jumps over"])
def test_greedy_text_is_that_of_transformers(model, prompt: str) -> None:
    inputs = tokenizer()(prompt, return_tensors="pt")
    tokens = llama().generate(**inputs, max_new_tokens=30, do_sample=False, pad_token_id=0)
    expected = tokenizer().backend_tokenizer.decode(tokens[0].tolist())
    session = model.session({})
    found = prompt.encode() + generate(session, prompt, n_predict=30)
    assert found.decode(errors="replace") == expected
    assert session.metadata()["input_tokens"] == inputs["input_ids"].shape[1]
    session.close()


def test_sessions_that_take_turns_do_not_disturb_each_other(model) -> None:
    prompts = ["the", "fox"]
    alone = [generate(model.session({}), prompt, n_predict=15) for prompt in prompts]
    sessions = [model.session({"n-predict": 15}) for _ in prompts]
    for session, prompt in zip(sessions, prompts, strict=True):
        session.begin(prompt.encode(), {})
    pieces = [[each.advance() for each in sessions] for _ in range(15)]
    assert [b"".join(column) for column in zip(*pieces, strict=True)] == alone


def test_sampling_with_a_seed_is_repeatable(model) -> None:
    session = model.session({"temp": 1.5, "n-predict": 20})
    first = generate(session, "the", seed=11)
    assert generate(session, "the", seed=11) == first
    assert generate(session, "the", seed=12) != first


@pytest.mark.parametrize("seed", range(3))
def test_grammars_and_schemas_are_kept_to(model, seed: int) -> None:
    session = model.session({"temp": 1.5, "seed": seed})
    found = generate(session, "the", grammar='root ::= "a" [0-9]{2,4} ("x" | "yz")')
    assert re.fullmatch(rb"a[0-9]{2,4}(x|yz)", found)
    assert set(json.loads(generate(session, "the", json_schema=SCHEMA))) == {"n", "ok"}


@pytest.mark.parametrize(
    "options",
    [
        {"grammar": "root ::= ("},
        {"grammar": "nothing"},
        {"json-schema": "{"},
        {"json-schema": {"type": "object"}, "grammar": 'root ::= "a"'},
        {"temp": "hot"},
    ],
)
def test_wrong_options_are_refused(model, options: dict) -> None:
    with pytest.raises(InvalidArgument):
        model.session({}).begin(b"the", options)
    with pytest.raises(UnsupportedOperation):
        model.session({"guide": "x"})


def test_penalties_and_ignore_eos_are_taken(model) -> None:
    options = {"repeat-penalty": 1.5, "presence-penalty": 0.5, "ignore-eos": True, "seed": 1}
    session = model.session({"temp": 2.0, **options, "n-predict": 40})
    generate(session, "the")
    assert session.metadata()["output_tokens"] == 40


def test_texts_end_with_n_predict_or_the_context(model, path: Path) -> None:
    session = model.session({"ignore-eos": True})
    session.begin(b"the", {"n-predict": 2})
    session.advance()
    session.advance()
    with pytest.raises(EndOfSequence):
        session.advance()
    session.begin(b"the", {})
    with pytest.raises(ContextFull):
        for _ in range(CONTEXT):
            session.advance()
    counts = session.metadata()
    assert counts["input_tokens"] + counts["output_tokens"] == CONTEXT
    session.begin(b"the the the", {"ctx-size": 4})
    with pytest.raises(PromptTooLong):
        session.begin(b"the the the the", {"ctx-size": 4})
    small = load(path, context=12)
    assert small.context == 12
    small.close()


def test_an_embedding_is_the_normalized_mean_of_the_last_hidden_states(model) -> None:
    inputs = tokenizer()("the quick fox", return_tensors="pt")
    with torch.inference_mode():
        mean = llama().model(**inputs).last_hidden_state[0].mean(0)
    found = torch.tensor(model.embed(b"the quick fox", {"embedding": True}))
    assert torch.allclose(found, mean / mean.norm(), atol=1e-3)
    with pytest.raises(PromptTooLong):
        model.embed(b"x" * (CONTEXT + 1), {})


@pytest.mark.parametrize("data", [b"", b"GGUF", b"GGUF\x03\x00\x00\x00" + b"\xff" * 64])
def test_files_that_are_no_gguf_are_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.gguf").write_bytes(data)
    with pytest.raises(InvalidModel):
        load(tmp_path / "x.gguf")


def test_a_file_that_is_cut_off_is_refused(path: Path, tmp_path: Path) -> None:
    data = path.read_bytes()
    for size in (len(data) // 4, len(data) - 100):
        (tmp_path / "x.gguf").write_bytes(data[:size])
        with pytest.raises(InvalidModel):
            load(tmp_path / "x.gguf")


def test_a_session_outlives_its_model(path: Path) -> None:
    model = load(path)
    session = model.session({})
    session.begin(b"the", {})
    session.advance()
    model.close()
    with pytest.raises(InferenceFailed, match="closed"):
        session.advance()
    session.close()


def test_what_a_guest_brings_is_loaded_too(path: Path) -> None:
    with path.open("rb") as file:
        model = load(Path(f"/proc/self/fd/{file.fileno()}"), foreign=True)
    assert generate(model.session({}), "the", n_predict=3)
    model.close()


def test_a_guest_may_bring_options_as_a_second_part(path: Path, tmp_path: Path) -> None:
    part = tmp_path / "options"
    part.write_text('{"n-predict": 3, "temp": 0, "unknown": 1}')
    source = Source(backend="llamacpp", files=(str(path), str(part)), foreign=True)
    model = LlamaCpp().load(source)
    session = model.session({})
    generate(session, "the")
    assert session.metadata()["output_tokens"] == 3
    model.close()
    for text in ("{", "[]", "\xff"):
        part.write_text(text)
        with pytest.raises(InvalidModel, match="second part"):
            LlamaCpp().load(source)
