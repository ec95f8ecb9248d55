"""Only what a template means matches it; an independent reader agrees."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote, urlsplit

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from onecopy.agents.manifest.path_template import PathTemplate, suggest
from onecopy.agents.manifest.url import Url

from .test_url import PIECES

FIELDS = {"repo": "octo/hello", "number": "7", "sha": "a...b", "dotted": "a.b/c-d_e"}
TEMPLATES = [
    "/",
    "/repos/{event.repo}/issues/{event.number}/comments",
    "/repos/{event.repo}/pulls/{number:int}",
    "/repos/{event.repo}/contents/{path...}",
    "/repos/{owner}/{repo}/",
    "/files/{name}.json",
    "/compare/{event.number}...{head}",
    "/v{major:int}/x",
    "/{event.dotted}",
    "/a%20b/{event.sha}",
]
HOLE = re.compile(r"\{(.*?)\}")


def meant(template: str, url: str, fields: dict[str, str]) -> bool:
    """Say the same in the simplest way: a regular expression over the decoded path."""
    pattern = ""
    for index, part in enumerate(HOLE.split(template)):
        if index % 2 == 0:
            pattern += re.escape(unquote(part))
        elif part.startswith("event."):
            if part[6:] not in fields:
                return False
            pattern += re.escape(fields[part[6:]])
        elif part.endswith(":int"):
            pattern += "[0-9]+"
        else:
            pattern += "[^/]+(/[^/]+)*" if part.endswith("...") else "[^/]+"
    path = unquote(urlsplit(url).path or "/", errors="strict")
    parts = path.split("/")[1:]
    if not parts[-1]:
        parts.pop()
    plain = all(part not in ("", ".", "..") for part in parts)
    return plain and re.fullmatch(pattern, path, re.DOTALL) is not None


def matches(template: str, text: str, fields: dict[str, str] = FIELDS) -> bool:
    try:
        url = Url.parse(text)
    except ValueError:
        return False
    return PathTemplate(template).matches(url.segments, url.slash, fields)


def filled(template: str, values: list[str]) -> str:
    """Write a path that is meant, with these values where it is free."""
    taken = iter(values)

    def fill(match: re.Match[str]) -> str:
        if match[1].startswith("event."):
            return FIELDS[match[1][6:]]
        if match[1].endswith(":int"):
            return "123"
        if match[1].endswith("..."):
            return f"{quote(next(taken), safe='')}/{quote(next(taken), safe='')}"
        return quote(next(taken), safe="")

    return HOLE.sub(fill, template)


values = st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S"]), min_size=1).filter(
    lambda text: not {"/", "\\", "%"} & set(text) and text.partition(";")[0] not in ("", ".", "..")
)


@given(st.sampled_from(TEMPLATES), st.lists(values, min_size=2, max_size=2))
def test_what_is_meant_matches(template: str, free: list[str]):
    url = "https://api.test" + filled(template, free)
    assert meant(template, url, FIELDS)
    assert matches(template, url)


@st.composite
def hostile(draw: st.DrawFn) -> tuple[str, str]:
    """A template, and a path that is meant by it or another one, cut and mixed with others."""
    template = draw(st.sampled_from(TEMPLATES))
    like = draw(st.sampled_from(TEMPLATES))
    path = filled(like, draw(st.lists(st.sampled_from(["a", "x.y", "é"]), min_size=2, max_size=2)))
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(path)))
        end = min(len(path), start + draw(st.integers(0, 3)))
        path = path[:start] + draw(st.sampled_from(PIECES)) + path[end:]
    return template, path


@given(hostile())
def test_nothing_but_what_is_meant_matches(case: tuple[str, str]):
    template, path = case
    url = f"https://api.test{path}"
    if matches(template, url):
        assert meant(template, url, FIELDS)
        # What is sent is what was matched.
        assert meant(template, str(Url.parse(url)), FIELDS)


@given(hostile(), st.dictionaries(st.sampled_from(sorted(FIELDS)), st.just("x"), max_size=3))
def test_another_events_fields_match_only_its_own_paths(case: tuple[str, str], fields: dict):
    template, path = case
    assume("{event" in template)
    url = f"https://api.test{path}"
    if matches(template, url, fields):
        assert meant(template, url, fields)
        assert PathTemplate(template).fields <= fields.keys()


@pytest.mark.parametrize(
    ("template", "path", "expected"),
    [
        ("/repos/{event.repo}/pulls", "/repos/octo/hello/pulls", True),
        ("/repos/{event.repo}/pulls", "/repos/octo/hell/o/pulls", False),
        ("/repos/{event.repo}/pulls", "/repos/octo%2Fhello/pulls", False),
        ("/repos/{event.repo}/pulls", "/repos/OCTO/hello/pulls", False),
        ("/repos/{event.repo}/pulls", "/Repos/octo/hello/pulls", False),
        ("/repos/{event.repo}/pulls", "/repos/octo/hello/pulls/", False),
        ("/repos/{event.repo}/pulls", "/%72epos/octo/hello/pulls", True),
        ("/x/{n:int}", "/x/12", True),
        ("/x/{n:int}", "/x/%31%32", True),
        ("/x/{n:int}", "/x/-1", False),
        ("/x/{n:int}", "/x/%D9%A1", False),
        ("/x/{n:int}", "/x/" + "1" * 20, False),
        ("/x/{name}", "/x", False),
        ("/x/{name}", "/x/", False),
        ("/x/{name}", "/x/a/b", False),
        ("/x/{rest...}", "/x/a/b/c", True),
        ("/x/{rest...}", "/x", False),
        ("/x/{rest...}", "/x/a/", False),
        ("/x/{rest...}", "/x/a/../../y", False),
        ("/{name}.json", "/a.json", True),
        ("/{name}.json", "/.json", False),
        ("/a{name}a", "/a", False),
        ("/a{name}a", "/aa", False),
        ("/a{name}a", "/aaa", True),
        ("/pre-{event.number}", "/pre-7", True),
        ("/pre-{event.repo}", "/pre-octo/hello", False),
        ("/", "/", True),
        ("/", "", True),
        ("/", "/x", False),
        ("/x/", "/x/", True),
        ("/x/", "/x", False),
    ],
)
def test_a_template_means_these_paths(template: str, path: str, expected: bool):
    assert matches(template, f"https://api.test{path}") == expected


def test_a_field_that_the_event_lacks_matches_nothing():
    template = PathTemplate("/repos/{event.repo}/pulls")
    for found in ("", "x", "{event.repo}", "None"):
        assert not template.matches(("repos", found, "pulls"), False, {"other": "x"})
        assert not template.matches(("repos", found, "pulls"), False, {"repo": ""})


@pytest.mark.parametrize("value", ["", "a/..", "../b"])
def test_a_field_whose_value_would_move_in_the_path_matches_nothing(value: str):
    template = PathTemplate("/repos/{event.repo}/pulls")
    segments = ("repos", *value.split("/"), "pulls")
    try:
        Url.parse("https://api.test/" + "/".join(segments))
    except ValueError:
        return
    assert not template.matches(segments, False, {"repo": value})


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "x/y", "//", "/a//b", "/../a", "/./a", "/%2e%2e", "/a?b", "/a#b", "/a b", "/é"),
        *("/{", "/}", "/{}", "/{a", "/a}", "/{a}}", "/{{a}}", "/{A}", "/{a:str}", "/{a:int:int}"),
        *("/{event}", "/{event.}", "/{event.A}", "/{event.a.b}", "/{event.a:int}", "/{event...}"),
        *("/{a...}/b", "/{a...}x", "/{a}{b}", "/{a}-{b:int}", "/{a..}", "/{ a }", "/a\\b", "/%zz"),
        5,
    ],
)
def test_what_is_no_template_is_refused(text: object):
    with pytest.raises(ValueError, match=r"\w"):
        PathTemplate(text)


def test_a_template_names_its_fields():
    assert PathTemplate("/{event.a}/x-{event.b}/{c}/{d...}").fields == {"a", "b"}


@given(st.lists(values, min_size=1, max_size=5), st.booleans())
def test_what_is_suggested_is_a_template_for_just_that_path(names: list[str], slash: bool):
    text = suggest(names, slash, FIELDS)
    template = PathTemplate(text)
    assert template.matches(names, slash, FIELDS)
    assert not template.matches([*names, "x"], slash, FIELDS)


def test_the_events_fields_are_suggested_where_they_occur_longest_first():
    segments = ("repos", "octo", "hello", "issues", "7", "77")
    fields = {"owner": "octo", "repo": "octo/hello", "number": "7", "none": ""}
    expected = "/repos/{event.repo}/issues/{event.number}/77"
    assert suggest(segments, False, fields) == expected
    assert suggest((), True, fields) == "/"


@given(st.sampled_from([each for each in TEMPLATES if "..." not in each]), st.text())
def test_a_path_that_is_filled_is_the_template_with_one_plain_segment_in_it(text: str, value: str):
    template = PathTemplate(text)
    given = {name: "12" if f"{{{name}:int}}" in text else value for name in template.places}
    try:
        made = template.fill(FIELDS, given)
    except ValueError:
        assert template.places
        return
    url = "https://api.test/" + "/".join(quote(each, safe="") for each in made)
    assert meant(text, url + "/" * template.slash, FIELDS) or text == "/"


def test_what_fills_a_path_is_not_filled_again():
    template = PathTemplate("/a/{name}/{event.repo}")
    assert template.fill(FIELDS, {"name": "{event.repo}"}) == ("a", "{event.repo}", "octo", "hello")


@pytest.mark.parametrize("digits", ["-1", "1.0", "1e3", "", "x", "1" * 20, "\u0661"])
def test_only_digits_fill_a_place_for_a_number(digits: str):
    with pytest.raises(ValueError, match="path"):
        PathTemplate("/issues/{number:int}").fill({}, {"number": digits})
