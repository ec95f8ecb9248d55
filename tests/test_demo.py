"""The demo, run as a whole on a tiny model made on the spot, and its parts."""

from __future__ import annotations

import io
import mmap
import os
import shutil
import signal
import string
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import onecopy.demo
from onecopy.demo import requirements
from onecopy.demo.check import Check, soon
from onecopy.demo.checkpoint import Checkpoint
from onecopy.demo.crew import Crew
from onecopy.demo.errors import DemoError
from onecopy.demo.forkserver import fork_server
from onecopy.demo.measurement import Measurement
from onecopy.demo.memory import Memory, memory_of, parse_rollup
from onecopy.demo.report import show_report
from onecopy.demo.sentences import SENTENCES
from onecopy.demo.shm import named_after, shm_files, used_by
from onecopy.demo.story import Outcome, Story
from onecopy.demo.variant import Variant
from onecopy.demo.worker import Job, Order

# transformers and what it imports warn about themselves; that is not ours to fail on.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("tiny-bert")
    _save_tokenizer(directory)
    _bert("BertModel").save_pretrained(directory)
    return directory


@pytest.fixture(autouse=True)
def _runtime_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONECOPY_RUNTIME_DIR", str(tmp_path))


def _bert(architecture: str) -> Any:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(7)
    config = transformers.BertConfig(
        vocab_size=len(_vocabulary()),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=128,
    )
    return getattr(transformers, architecture)(config).eval()


def _vocabulary() -> list[str]:
    letters = string.ascii_lowercase
    return ["[PAD]", "[UNK]", *letters, *(f"##{letter}" for letter in letters), *".,;-'?"]


def _save_tokenizer(directory: Path) -> None:
    transformers = pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    vocabulary = {token: index for index, token in enumerate(_vocabulary())}
    model = tokenizers.models.WordPiece(vocabulary, unk_token="[UNK]")
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.normalizer = tokenizers.normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]"
    ).save_pretrained(directory)


def _run(model: Path | None, workers: int = 2) -> tuple[int, str]:
    output = io.StringIO()
    code = onecopy.demo.run(model, workers, Console(file=output, width=120))
    return code, output.getvalue()


@contextmanager
def _nothing_left() -> Iterator[None]:
    """Fail if the block leaves child processes behind."""
    before = _children()
    yield
    assert soon(lambda: _children() <= before)


def _children() -> set[str]:
    # multiprocessing's resource tracker stays as long as this process, for all who use it.
    pids = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return {p for p in pids if b"resource_tracker" not in Path(f"/proc/{p}/cmdline").read_bytes()}


class TestTheWholeDemo:
    def test_every_check_holds_on_a_tiny_model(self, tiny_model: Path) -> None:
        with _nothing_left():
            code, text = _run(tiny_model)
        assert (code, "FAILED" in text) == (0, False), text
        assert text.count("identical") == 3
        assert text.count("  ok  ") == 8

    def test_a_model_that_cannot_be_built_is_reported_and_nothing_is_left(
        self, tiny_model: Path, tmp_path: Path
    ) -> None:
        broken = tmp_path / "broken"
        shutil.copytree(tiny_model, broken)
        (broken / "model.safetensors").write_bytes(b"not what it says it is")
        with _nothing_left():
            code, text = _run(broken)
        assert code == 1
        assert text.startswith("demo: ")

    def test_a_failed_check_makes_the_exit_code_one(
        self, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        outcome = Outcome(measurements=[_measured(variant) for variant in Variant])
        outcome.checks.append(Check("the moon is made of cheese", False, "it is rock"))
        monkeypatch.setattr(Story, "play", lambda _: outcome)
        monkeypatch.setattr("onecopy.demo.forkserver.fork_server", nullcontext)
        code, text = _run(tiny_model)
        assert code == 1
        assert "FAILED  the moon is made of cheese: it is rock" in text


def _measured(variant: Variant, **changes: Any) -> Measurement:
    fields: dict[str, Any] = {
        "variant": variant,
        "build_seconds": [0.1, 0.3, 0.2],
        "embed_seconds": [1.0],
        "idle": Memory(100, 10),
        "loaded": Memory(190, 60),
        "vectors": [b"same", b"same"],
    }
    return Measurement(**(fields | changes))


class TestArguments:
    def test_one_worker_is_too_few(self) -> None:
        code, text = _run(None, workers=1)
        assert code == 1
        assert "--workers 2" in text

    def test_missing_packages_are_named_with_the_cure(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(requirements, "find_spec", lambda _: None)
        code, text = _run(None)
        assert code == 1
        assert "transformers" in text
        assert "pip install 'onecopy[demo]'" in text

    def test_a_directory_without_a_model_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(DemoError, match=r"no config\.json"):
            Checkpoint.find(tmp_path)

    def test_a_model_without_safetensors_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "config.json").write_text("{}")
        with pytest.raises(DemoError, match=r"no \*\.safetensors"):
            Checkpoint.find(tmp_path)


def test_importing_the_demo_imports_neither_torch_nor_transformers() -> None:
    lines = (
        "import sys, onecopy.demo, onecopy.demo.story, onecopy.demo.report",
        "assert not {'torch', 'numpy', 'transformers'} & set(sys.modules)",
    )
    subprocess.run([sys.executable, "-c", "\n".join(lines)], check=True)


def test_the_sentences_are_many_and_all_different() -> None:
    assert len(SENTENCES) == len(set(SENTENCES)) >= 64


class TestCrew:
    @pytest.fixture(scope="class")
    def context(self, tiny_model: Path) -> Iterator[ForkServerContext]:
        with fork_server(tiny_model) as context:
            yield context

    @pytest.fixture
    def crew(self, context: ForkServerContext, tiny_model: Path) -> Iterator[Crew]:
        with Crew(context, Job(Variant.FILE, tiny_model, "none", "none"), 2) as crew:
            yield crew

    def test_all_workers_do_as_they_are_told(self, crew: Crew) -> None:
        crew.all_do(Order.BUILD)
        first, second = crew.all_do(Order.EMBED)
        assert first.vectors == second.vectors
        assert len(first.vectors) == len(SENTENCES) * 32 * 4

    def test_the_victim_dies_at_work_and_the_others_go_on(self, crew: Crew) -> None:
        crew.all_do(Order.BUILD)
        assert crew.kill_one_at_work() == -signal.SIGKILL
        assert len(crew.all_do(Order.EMBED)) == 1

    def test_an_error_in_the_block_kills_workers_that_would_not_leave(self, crew: Crew) -> None:
        pids = crew.pids
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        crew.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
        assert soon(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))

    def test_a_worker_that_was_killed_from_outside_is_an_error(self, crew: Crew) -> None:
        os.kill(crew.pids[1], signal.SIGKILL)
        with pytest.raises(DemoError, match="exit code -9"):
            crew.all_do(Order.BUILD)

    def test_what_goes_wrong_in_a_worker_is_told_to_the_leader(
        self, context: ForkServerContext, tmp_path: Path
    ) -> None:
        with pytest.raises(DemoError, match="a worker failed"):
            Crew(context, Job(Variant.FILE, tmp_path / "nowhere", "none", "none"), 2)


class TestMeasurement:
    def test_the_median_and_the_slowest_worker_are_told_apart(self) -> None:
        measured = _measured(Variant.COPY)
        assert (measured.median_build, measured.slowest_build) == (0.2, 0.3)

    def test_without_a_store_the_total_is_what_the_workers_grew_by(self) -> None:
        measured = _measured(Variant.COPY)
        assert (measured.model_memory, measured.untouched, measured.total) == (90, 0, 90)

    def test_pages_of_the_entry_that_nobody_touched_count_too_and_so_does_the_daemon(self) -> None:
        measured = _measured(Variant.STORE, entry_nbytes=70, daemon=Memory(5))
        assert (measured.untouched, measured.total) == (20, 115)


def test_a_worker_that_computed_something_else_stands_out_in_the_report() -> None:
    odd = _measured(Variant.FILE, vectors=[b"same", b"other"])
    measurements = [_measured(Variant.COPY), odd, _measured(Variant.STORE)]
    output = io.StringIO()
    show_report(Console(file=output, width=120), Outcome(measurements=measurements), 2)
    assert (output.getvalue().count("identical"), output.getvalue().count("DIFFERENT")) == (2, 1)


class TestMemory:
    def test_a_rollup_is_read_in_bytes(self) -> None:
        text = "55d0-7ffd ---p 00000000 00:00 0 [rollup]\nRss: 9 kB\nPss:  8 kB\nPss_Shmem:  4 kB\n"
        assert parse_rollup(text) == Memory(pss=8192, shared=4096)

    def test_a_kernel_without_the_shared_figure_says_zero(self) -> None:
        assert parse_rollup("Pss:  8 kB\n") == Memory(pss=8192, shared=0)

    def test_this_process_uses_some(self) -> None:
        assert memory_of([os.getpid()]).pss > 1 << 20

    def test_memory_can_be_added_and_subtracted(self) -> None:
        assert Memory(5, 2) + Memory(1, 1) - Memory(2, 0) == Memory(4, 3)


class TestSharedMemoryFiles:
    def test_a_file_that_a_process_has_open_is_its_own(self, tmp_path: Path) -> None:
        with (tmp_path / "busy").open("w"):
            assert used_by([os.getpid()], tmp_path) == {str(tmp_path / "busy")}

    def test_a_file_that_a_process_has_mapped_is_its_own(self, tmp_path: Path) -> None:
        path = tmp_path / "mapped"
        path.write_bytes(b"x" * 4096)
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ):
            file.close()
            assert used_by([os.getpid()], tmp_path) == {str(path)}

    def test_a_file_with_a_pid_in_its_name_is_that_process_s(self, tmp_path: Path) -> None:
        for name in ("torch_123_9", "torch_1234_9", "other"):
            (tmp_path / name).write_text("x")
        assert named_after([123], tmp_path) == {str(tmp_path / "torch_123_9")}

    def test_what_others_leave_there_is_not_ours(self, tmp_path: Path) -> None:
        (tmp_path / "theirs").write_text("x")
        assert shm_files(tmp_path) == {str(tmp_path / "theirs")}
        assert not used_by([os.getpid()], tmp_path)

    def test_a_process_that_is_gone_uses_nothing(self, tmp_path: Path) -> None:
        assert not used_by([0], tmp_path)


def test_a_model_in_shards_is_read_as_one(tiny_model: Path, tmp_path: Path) -> None:
    _bert("BertModel").save_pretrained(tmp_path, max_shard_size="20KB")
    shards, whole = Checkpoint.find(tmp_path), Checkpoint.find(tiny_model)
    assert len(shards.weight_files) > 1
    assert shards.tensors().keys() == whole.tensors().keys()


class TestPooling:
    def test_padding_does_not_count_and_rows_have_length_one(self) -> None:
        torch = pytest.importorskip("torch")
        from onecopy.demo.pooling import mean_pool

        hidden = torch.tensor([[[3.0, 0.0], [3.0, 8.0], [99.0, 99.0]]])
        pooled = mean_pool(hidden, torch.tensor([[1, 1, 0]]))
        assert torch.allclose(pooled, torch.tensor([[0.6, 0.8]]))

    def test_a_row_of_padding_only_is_zero(self) -> None:
        torch = pytest.importorskip("torch")
        from onecopy.demo.pooling import mean_pool

        pooled = mean_pool(torch.ones(1, 2, 2), torch.zeros(1, 2, dtype=torch.int64))
        assert pooled.tolist() == [[0.0, 0.0]]


class TestBuilders:
    def test_the_adopted_model_points_at_the_given_weights(self, tiny_model: Path) -> None:
        from onecopy.demo import builders

        weights = Checkpoint.find(tiny_model).tensors()
        model = builders.adopt(builders.skeleton(tiny_model), weights)
        for name, parameter in model.named_parameters():
            assert parameter.data_ptr() == weights[name].data_ptr(), name

    def test_buffers_are_those_of_from_pretrained(self, tiny_model: Path) -> None:
        from onecopy.demo import builders

        expected = dict(builders.from_file(tiny_model).named_buffers())
        found = dict(builders.skeleton(tiny_model).named_buffers())
        assert list(found) == list(expected)
        assert all(found[name].equal(expected[name]) for name in expected)

    def test_a_checkpoint_with_a_head_gives_the_same_hidden_states(self, tmp_path: Path) -> None:
        _save_tokenizer(tmp_path)
        from onecopy.demo import builders
        from onecopy.demo.embedder import Embedder

        _bert("BertForMaskedLM").save_pretrained(tmp_path)
        weights = Checkpoint.find(tmp_path).tensors()
        adopted = builders.adopt(builders.skeleton(tmp_path), weights)
        embedder = Embedder(tmp_path, SENTENCES[:5])
        assert embedder.embed(adopted) == embedder.embed(builders.from_file(tmp_path))

    def test_a_private_copy_shares_nothing_with_the_file(self, tiny_model: Path) -> None:
        from onecopy.demo import builders

        model = builders.private_copy(tiny_model)
        model.embeddings.word_embeddings.weight.data.zero_()
        again = builders.from_file(tiny_model)
        assert again.embeddings.word_embeddings.weight.abs().sum() > 0
