"""What tells one model from another."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import onecopy
from onecopy import Store
from onecopy.errors import ModelNotFound
from onecopy.nn.backends.backend import Source
from onecopy.nn.service import identity as module
from onecopy.nn.service.identity import identity


@pytest.fixture
def store() -> Iterator[Store]:
    with onecopy.start("models", capacity="16MiB") as store:
        yield store


def entry(name: str, backend: str = "pytorch", **options) -> Source:
    return Source(backend=backend, store="models", entry=name, options=options)


def test_the_same_is_the_same_whoever_asks(store, tmp_path):
    file = tmp_path / "m.onnx"
    file.write_bytes(b"1")
    store.save("m", b"1", overwrite=True)
    (tmp_path / "link").symlink_to(file)
    of_file = Source(backend="onnx", files=(str(file),))
    assert identity(of_file) == identity(Source(backend="onnx", files=(str(tmp_path / "link"),)))
    assert identity(entry("m"), store) == identity(entry("m"))


def test_what_is_overwritten_is_another_model(store, tmp_path):
    file = tmp_path / "m.onnx"
    file.write_bytes(b"1")
    sources = (Source(backend="onnx", files=(str(file),)), entry("m"))
    store.save("m", b"1", overwrite=True)
    before = [identity(each, store) for each in sources]
    (tmp_path / "new").write_bytes(b"1")
    (tmp_path / "new").replace(file)
    store.save("m", b"1", overwrite=True)
    assert not set(before) & {identity(each, store) for each in sources}


def test_backend_options_bytes_and_version_tell_models_apart(store, monkeypatch):
    store.save("m", b"1", overwrite=True)
    brought = Source(backend="onnx", foreign=True)
    keys = [
        identity(entry("m"), store),
        identity(entry("m", "text"), store),
        identity(entry("m", threads=1), store),
        identity(entry("m", threads=2), store),
        identity(brought, content="digest"),
        identity(brought, content="another"),
    ]
    monkeypatch.setattr(module, "__version__", "0")
    keys.append(identity(entry("m"), store))
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    ("options", "beside"), [({}, "t/tokenizer"), ({"tokenizer": "other"}, "other")]
)
def test_a_text_model_is_another_one_with_another_tokenizer(store, options, beside):
    store.save("t", b"model", overwrite=True)
    source = entry("t", "text", **options)
    keys = [identity(source, store)]
    for _ in range(2):
        store.save(beside, b"tokenizer", overwrite=True)
        keys.append(identity(source, store))
    store.save("unrelated", b"x", overwrite=True)
    assert len(set(keys)) == 3
    assert identity(source, store) == keys[-1]
    assert identity(entry("t"), store) == identity(entry("t"), store)


def test_an_entry_of_a_snapshot_is_that_of_the_file(store, tmp_path):
    store.save("m", b"1", overwrite=True)
    paths = [tmp_path / name for name in ("a", "b")]
    for path in paths:
        store.snapshot(path)
    of_each = [Source(backend="pytorch", store=str(path), entry="m") for path in paths]
    assert len({identity(each) for each in of_each}) == 2
    with pytest.raises(ModelNotFound):
        identity(Source(backend="pytorch", store=str(paths[0]), entry="none"))


@pytest.mark.parametrize(
    "source", [entry("none"), Source(backend="onnx", files=("/nowhere/m.onnx",))]
)
def test_what_is_not_there_has_none(store, source):
    with pytest.raises(ModelNotFound):
        identity(source, store)
