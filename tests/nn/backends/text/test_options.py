from __future__ import annotations

import logging

import pytest

from onecopy import InvalidArgument
from onecopy.nn.backends.text.options import TextOptions, read, read_defaults


def test_without_options_they_are_llama_cpps() -> None:
    found = read({})
    assert found == TextOptions()
    assert (found.temp, found.top_k, found.top_p, found.min_p) == (0.8, 40, 0.95, 0.05)
    assert (found.repeat_penalty, found.seed, found.n_predict) == (1.0, -1, -1)


def test_later_layers_count_before_earlier_ones() -> None:
    found = read({"temp": 0.1, "n-predict": 5}, {"temp": 0.7}, {"seed": 3})
    assert (found.temp, found.n_predict, found.seed) == (0.7, 5, 3)


def test_what_guests_say_as_a_matter_of_course_is_taken() -> None:
    said = {"enable-log": True, "n-gpu-layers": 100, "ctx-size": 1024, "threads": 4}
    found = read(said | {"batch-size": 512, "ubatch-size": 512, "stream-stdout": True})
    assert found.ctx_size == 1024
    assert found.stream_stdout


def test_unknown_options_are_left_out_with_one_line(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "onecopy.nn"):
        found = read({"mirostat": 2, "x" * 10_000: 1, **{f"o{i}": i for i in range(500)}})
    assert found == TextOptions()
    [record] = caplog.records
    assert "502 options" in record.getMessage()
    assert len(record.getMessage()) < 500


@pytest.mark.parametrize(
    "options",
    [
        {"temp": "hot"},
        {"temp": 1e999},
        {"temp": float("nan")},
        {"presence-penalty": -1e300},
        {"repeat-penalty": 1e-320},
        {"n-predict": 1.5},
        {"n-predict": True},
        {"n-predict": None},
        {"reverse-prompt": ["a"]},
        {"grammar": {}},
        {"grammar": "x" * 300_000},
        {"json-schema": 5},
        {"embedding": 1},
        {"embd-normalize": 1 << 40},
        {"pooling-type": 4},
        {"enable-log": "yes"},
    ],
)
def test_wrong_types_and_values_are_refused(options: dict) -> None:
    [name] = options
    with pytest.raises(InvalidArgument, match=name):
        read({}, options)


def test_a_schema_may_be_a_text_or_json() -> None:
    assert read({"json-schema": '{"type": "object"}'}).schema == '{"type": "object"}'
    assert read({"json-schema": {"type": "object"}}).schema == '{"type":"object"}'
    assert read({}).schema == ""


def test_a_host_may_spell_options_with_an_underscore_and_give_texts() -> None:
    found = read_defaults({"n_predict": "12", "temp": "0", "ignore-eos": "true"})
    assert found == {"n-predict": 12, "temp": 0.0, "ignore-eos": True}


def test_an_option_of_a_host_that_there_is_not_is_refused() -> None:
    with pytest.raises(InvalidArgument, match=r"no option 'tmp'; there are .*temp"):
        read_defaults({"tmp": 1})
