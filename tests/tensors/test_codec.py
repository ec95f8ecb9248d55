from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import Any

import numpy as np
import pytest

from onecopy.errors import InvalidArgument, PackageMissing, UnsupportedValue
from onecopy.tensors import codec as codecs
from onecopy.tensors.buffer_codec import codec as buffer_codec
from tests.tensors.roundtrip import roundtrip


class Words:
    """A class of somebody else's."""

    def __init__(self, words: list[str]) -> None:
        self.words = words


class WordsCodec:
    name = "words"
    types = (f"{Words.__module__}.Words",)

    def encode(self, value: Words) -> codecs.Leaf:
        leaf = buffer_codec.encode("\n".join(value.words).encode())
        return leaf._replace(meta=[len(value.words), leaf.meta])

    def decode(self, meta: Any, places: Any, segment: codecs.Segment) -> Words:
        text = buffer_codec.decode(meta[1], places, segment)
        return Words(bytes(text).decode().split("\n"))


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codecs, "_by_name", dict(codecs._by_name))
    monkeypatch.setattr(codecs, "_registered", dict(codecs._registered))
    monkeypatch.setattr(codecs, "_by_type", {})


def test_an_unknown_class_is_refused_with_the_remedy() -> None:
    with pytest.raises(UnsupportedValue, match="register a codec"):
        roundtrip(Words(["a"]))


def test_a_registered_codec_stores_its_class() -> None:
    codecs.register(WordsCodec())
    assert roundtrip([Words(["a", "b"])])[0].words == ["a", "b"]


def test_a_codec_stores_subclasses_of_its_class() -> None:
    class More(Words):
        pass

    codecs.register(WordsCodec())
    assert roundtrip(More(["a"])).words == ["a"]


def test_a_registered_codec_goes_before_ours_that_a_load_has_needed_since() -> None:
    class ArrayCodec(WordsCodec):
        name = "arrays"
        types = ("numpy.ndarray",)

    codecs.register(ArrayCodec())
    codecs.find("numpy")
    assert codecs.for_type(np.ndarray).name == "arrays"


def test_a_codec_of_an_installed_package_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("words", f"{__name__}:WordsCodec()", "onecopy.codecs")
    monkeypatch.setattr(EntryPoint, "load", lambda self: WordsCodec())
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [point])
    assert roundtrip(Words(["a"])).words == ["a"]


def test_a_codec_of_an_installed_package_goes_before_ours_for_a_base(monkeypatch) -> None:
    class Labelled(np.ndarray):
        pass

    class LabelledCodec(WordsCodec):
        name = "labelled"
        types = (f"{__name__}.{Labelled.__qualname__}",)

    monkeypatch.setattr(EntryPoint, "load", lambda self: LabelledCodec())
    point = EntryPoint("labelled", "anywhere", "onecopy.codecs")
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [point])
    assert codecs.for_type(Labelled).name == "labelled"
    assert codecs.for_type(np.ndarray).name == "numpy"


def test_an_entry_of_a_codec_that_is_not_installed_says_which() -> None:
    with pytest.raises(InvalidArgument, match="the codec 'words'"):
        codecs.find("words")


def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError("no torch", name="torch")

    monkeypatch.setattr("importlib.import_module", missing)
    codecs._by_name.pop("torch", None)
    with pytest.raises(PackageMissing, match=r"pip install 'onecopy\[torch\]'"):
        codecs.find("torch")


def test_a_codec_without_a_name_is_refused() -> None:
    class Nameless(WordsCodec):
        name = ""

    with pytest.raises(InvalidArgument, match="name"):
        codecs.register(Nameless())
