"""What a name stands for, as programs and the command line say it."""

from __future__ import annotations

from pathlib import Path

import pytest

import onecopy
from onecopy.errors import InvalidArgument, ModelNotFound
from onecopy.nn.model import Model, as_model


def test_text_has_an_entry_and_options() -> None:
    model = Model.parse("embedder,backend=pytorch,threads=2,name=x,flag=true")
    assert (model.what, model.backend) == ("embedder", "pytorch")
    assert model.options == {"threads": 2, "name": "x", "flag": True}


def test_text_may_have_several_files_and_a_store() -> None:
    assert Model.parse("m.xml,file=m.bin,file=more").files == ("m.xml", "m.bin", "more")
    assert Model.parse("entry,store=other").store == "other"


@pytest.mark.parametrize("text", ["entry,", "entry,backend", "entry,=x"])
def test_what_is_no_option_is_refused(text) -> None:
    with pytest.raises(InvalidArgument, match="key=value"):
        Model.parse(text)


def test_a_path_is_a_file_whatever_is_in_its_name() -> None:
    assert as_model(Path("a,b=c.onnx")).what == "a,b=c.onnx"
    assert as_model("a,b=c").options == {"b": "c"}


def test_an_entry_comes_before_a_file_of_the_same_name(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("m.onnx").touch()
    with onecopy.start("models", capacity="16MiB") as store:
        assert Model(what="m.onnx").source(store).files == (str(tmp_path / "m.onnx"),)
        store.save("m.onnx", b"model")
        source = Model(what="m.onnx").source(store)
        assert (source.backend, source.store, source.entry) == ("pytorch", "models", "m.onnx")


def test_a_backend_is_found_by_the_ending_of_a_file(tmp_path) -> None:
    (tmp_path / "m.onnx").touch()
    (tmp_path / "m.odd").touch()
    assert Model(what=str(tmp_path / "m.onnx")).source().backend == "onnx"
    with pytest.raises(InvalidArgument, match="odd"):
        Model(what=str(tmp_path / "m.odd")).source()


def test_what_is_nowhere_is_not_found(tmp_path) -> None:
    with pytest.raises(ModelNotFound, match=r"no file 'nowhere'.*--store"):
        Model(what="nowhere").source()
    with pytest.raises(ModelNotFound, match="gone"):
        Model(files=(str(tmp_path / "gone"),)).source()
