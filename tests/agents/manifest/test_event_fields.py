"""What is taken out of a payload is safe in a path, or the event is refused."""

from __future__ import annotations

from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onecopy.agents.manifest.event_fields import MISSING, Condition, PayloadPath, Subject, take
from onecopy.agents.manifest.path_template import PathTemplate
from onecopy.agents.manifest.url import Url
from onecopy.errors import InvalidEvent

PAYLOAD = {
    "a": {"b": [{"c": 5}, "x"], "none": None, "on": True, "half": 0.5, "text": "say @bot now"},
    "0": "zero",
}
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("a.b.0.c", 5),
        ("a.b.1", "x"),
        ("0", "zero"),
        ("a.on", True),
        ("a.none", MISSING),
        ("a.b.2", MISSING),
        ("a.b.c", MISSING),
        ("a.b.1.0", MISSING),
        ("a.b.-1", MISSING),
        ("a.on.x", MISSING),
        ("b", MISSING),
    ],
)
def test_a_path_leads_through_objects_and_lists(path: str, value: object):
    assert PayloadPath(path).find_in(PAYLOAD) == value


@pytest.mark.parametrize("text", ["", ".", "a.", ".a", "a..b", "a b", "a/b", "é", "a[0]", 5])
def test_what_is_no_path_is_refused(text: object):
    with pytest.raises(ValueError, match="no path"):
        PayloadPath(text)


@given(json_values, st.sampled_from(["a", "a.b", "0", "a.0.b"]))
def test_no_payload_makes_a_path_fail(payload: object, path: str):
    PayloadPath(path).find_in(payload)
    for test in ("exists", "missing", "equals:x", "contains:x", "in:x|y", "not:x"):
        assert Condition(test).holds(PayloadPath(path).find_in(payload)) in (True, False)


@pytest.mark.parametrize(
    ("test", "path", "holds"),
    [
        ("exists", "a.on", True),
        ("exists", "a.none", False),
        ("missing", "a.none", True),
        ("missing", "a.b", False),
        ("equals:zero", "0", True),
        ("equals:Zero", "0", False),
        ("equals:5", "a.b.0.c", True),
        ("equals:true", "a.on", True),
        ("equals:True", "a.on", False),
        ("equals:0.5", "a.half", True),
        ("equals:x", "b", False),
        ("equals:a:b", "0", False),
        ("not:zero", "0", False),
        ("not:other", "0", True),
        ("not:zero", "b", True),
        ("contains:@bot", "a.text", True),
        ("contains:@bots", "a.text", False),
        ("contains:b", "a", False),
        ("in:one|zero", "0", True),
        ("in:one|two", "0", False),
        ("in:zer", "0", False),
    ],
)
def test_conditions(test: str, path: str, holds: bool):
    assert Condition(test).holds(PayloadPath(path).find_in(PAYLOAD)) == holds


@pytest.mark.parametrize("text", ["", "exist", "equals", "equals:", "like:x", ":x", 5, "Exists"])
def test_what_is_no_condition_is_refused(text: object):
    with pytest.raises(ValueError, match="no condition"):
        Condition(text)


@given(json_values)
def test_a_field_that_is_taken_stays_where_it_is_put(value: object):
    """Whatever was sent: in a path it is its own segments, and nothing else."""
    try:
        text = take("x", PayloadPath("x"), {"x": value})
    except InvalidEvent:
        return
    url = Url.parse(f"https://api.test/before/{text}/after")
    assert url.segments == ("before", *text.split("/"), "after")
    assert unquote(url.path) == url.path == f"/before/{text}/after"
    assert quote(text, safe="/") == text
    template = PathTemplate("/before/{event.x}/after")
    assert template.matches(url.segments, False, {"x": text})


names = st.from_regex(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*", fullmatch=True)


@given(names | st.text("./-_ab%", max_size=12))
def test_a_field_is_taken_as_its_rule_says(value: str):
    parts = value.split("/")
    safe = all(part and part not in (".", "..") and "%" not in part for part in parts)
    try:
        assert take("x", PayloadPath("x"), {"x": value}) == value
        assert safe
    except InvalidEvent:
        assert not safe


@pytest.mark.parametrize(
    "value", ["a\n", "a b", "\u0661", "a" * 513, "a\0", "\uff0e\uff0e", "a\u202e"]
)
def test_texts_that_are_no_names_are_refused(value: str):
    with pytest.raises(InvalidEvent):
        take("x", PayloadPath("x"), {"x": value})


def test_whole_numbers_are_written_in_digits():
    assert take("x", PayloadPath("x"), {"x": 7}) == "7"
    assert take("x", PayloadPath("x"), {"x": -7}) == "-7"


def test_a_subject_is_filled_with_fields():
    subject = Subject("{repo}#{number}")
    assert subject.fields == {"repo", "number"}
    assert subject.fill({"repo": "a/b", "number": "7", "other": "x"}) == "a/b#7"
    assert type(Subject("all").fill({})) is str


@pytest.mark.parametrize("text", ["", "{", "}", "{}", "{a", "a}", "{{a}}", "{a b}", "a\nb", 5])
def test_what_is_no_subject_is_refused(text: object):
    with pytest.raises(ValueError, match=r"subject|braces"):
        Subject(text)
