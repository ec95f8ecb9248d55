"""URLs are read in one way, or not at all."""

from __future__ import annotations

import posixpath
import re
import unicodedata
from collections.abc import Callable
from urllib.parse import quote, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from onecopy.agents.manifest.url import Url

PIECES = """
    / // . .. ... %2e %2E %2e%2e %2f %2F %5c \\ %25 %252e %252f %2525 % %0 %zz ; ..; .; %3b ..%3b
    repos octo hello issues 7 %61 %00 %0a %0d%0a %7f %20 + & = ? # @ : é ß %C3%A9 %C0%AE %E0%80%AF
    %EF%BC%8E %EF%BC%8F \uff0e \uff0f %E2%80%A5 %E2%80%AE %EF%BB%BF %ED%A0%80 { } | ^ ~ * ' ( ) ,
    %E2%81%84 \u2024 \uff05\uff12\uff45 %EF%BC%852e $ ! a b
""".split()  # noqa: SIM905
wild = st.lists(st.sampled_from([*PIECES, "/", "/"]), max_size=12).map(
    lambda pieces: "/" + "".join(pieces)
)
# Few pieces in each segment, encoded as they have to be: most of these are read.
PARTS = ". .. %2e %2F \\ ; a 2e 2f é \uff0e \uff0f \u2025 \uff05"
parts = st.sampled_from([*PARTS.split(), *"\0\n\u202e\ufeff"])
segments = st.lists(parts, min_size=1, max_size=3).map(lambda each: quote("".join(each), safe=""))
paths = wild | st.lists(segments, max_size=4).map(lambda each: "/" + "/".join(each))


def read(text: str) -> Url | None:
    try:
        return Url.parse(text)
    except ValueError:
        return None


# What some server or another does to a path, in the words of the bugs that came of it.
READINGS: list[Callable[[str], str]] = [
    lambda path: unquote(unquote(path)),
    lambda path: unicodedata.normalize("NFKC", path),
    lambda path: path.replace("\\", "/"),
    lambda path: re.sub(r";[^/]*", "", path) if ";" in path else path,
    lambda path: path.split("\0")[0],
    lambda path: re.sub(r"[\r\n\t]", "", path),
    lambda path: re.sub(r"[\u200b-\u200f\u202a-\u202e\ufeff]", "", path),
]


@given(paths)
def test_no_server_finds_another_folder_in_a_path_that_is_accepted(raw: str):
    url = read(f"https://api.test{raw}")
    if url is None:
        return
    decoded = unquote(url.path, errors="strict")
    depth = len(url.segments)
    for reading in READINGS:
        found = posixpath.normpath(reading(decoded))
        assert len([each for each in found.split("/") if each]) == depth
        assert "/../" not in f"{reading(decoded)}/"


@given(paths)
def test_what_is_accepted_is_what_a_plain_reader_finds(raw: str):
    url = read(f"https://api.test{raw}")
    if url is None:
        return
    plain = urlsplit(f"https://api.test{raw}")
    segments = [unquote(each, errors="strict") for each in plain.path.split("/")[1:]]
    if url.slash:
        assert segments.pop() == ""
    assert list(url.segments) == segments


@given(paths)
def test_it_is_written_in_one_way_which_others_read_alike(raw: str):
    url = read(f"HTTPS://API.test:443{raw}")
    if url is None:
        return
    text = str(url)
    assert Url.parse(text) == url
    assert str(Url.parse(text)) == text
    assert text.isascii()
    assert URL(text, encoded=True).raw_path_qs == url.target
    assert URL(text).path == unquote(url.path)
    assert urlsplit(text).path == url.path


@given(st.text(max_size=40))
def test_no_text_does_anything_but_be_read_or_refused(text: str):
    for each in (text, f"https://{text}", f"https://api.test/{text}", f"https://api.test?{text}"):
        url = read(each)
        if url is not None:
            assert str(url.origin).startswith(("https://", "http://"))
            assert "#" not in str(url)


names = st.text("abc[]._-&=+%;/?é ", min_size=1, max_size=6)


@given(st.lists(st.tuples(names, st.text(max_size=8)), max_size=4))
def test_a_query_is_read_as_it_was_meant(pairs: list[tuple[str, str]]):
    from urllib.parse import parse_qsl, urlencode

    raw = urlencode(pairs, errors="replace")
    url = read(f"https://api.test/?{raw}")
    if url is not None:
        expected = parse_qsl(raw, keep_blank_values=True)
        assert list(url.query) == expected
        assert parse_qsl(urlsplit(str(url)).query, keep_blank_values=True) == expected


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("https://api.test", "https://api.test/"),
        ("https://api.test?", "https://api.test/"),
        ("https://api.test/a/", "https://api.test/a/"),
        ("HTTPS://API.TEST:443/%61%2Db", "https://api.test/a-b"),
        ("https://api.test/%c3%a9", "https://api.test/%C3%A9"),
        ("https://api.test/compare/a...b", "https://api.test/compare/a...b"),
        ("https://api.test/x?a", "https://api.test/x?a="),
        ("https://api.test/x?q=a+b%2Bc/d", "https://api.test/x?q=a%20b%2Bc%2Fd"),
        ("https://api.test/a%3Bb", "https://api.test/a%3Bb"),
        ("http://[2001:DB8::0:1]:8080/x", "http://[2001:db8::1]:8080/x"),
    ],
)
def test_different_writings_of_one_url_become_one(text: str, written: str):
    assert str(Url.parse(text)) == written


@pytest.mark.parametrize(
    "text",
    [
        *("", "/x", "api.test/x", "//api.test/x", "ftp://api.test/", "https:/api.test/"),
        *("https://u@api.test/", "https://u:p@api.test/", "https://@api.test/"),
        *("https://api.test/#a", "https://api.test#", "https://api.test/x?a=1#b"),
        *("https://api.test\\@evil.test/", "https://evil.test\\.api.test/", " https://api.test/"),
        *("https://api.test/ ", "https://api.test/\n", "https://api\t.test/", "https://api.test /"),
        *("https://api.test/?a=1;b=2", "https://api.test/?=1", "https://api.test/?a=%ff"),
        *("https://api.test/?a%00=1", "https://api.test/?a=%00", "https://api.test/?&a=1"),
        "https://api.test/" + "x" * 9000,
    ],
)
def test_what_is_no_url_or_could_be_two_is_refused(text: str):
    with pytest.raises(ValueError, match=r"\w"):
        Url.parse(text)


@pytest.mark.parametrize(
    "path",
    [
        *("/x/../y", "/x/%2e%2e/y", "/x/.%2E/y", "/..", "/.", "/%2e", "/x//y", "//", "/x/./y"),
        *("/%2F", "/%5C", "/x\\y", "/%252e%252e", "/%252F", "/a%2525", "/%", "/%0", "/%zz"),
        *("/%00", "/%0A", "/%0d", "/%7F", "/%ff", "/%C0%AE", "/%ED%A0%80", "/é", "/a b", "/a|b"),
        *("/..;/x", "/;/x", "/..%3b", "/.%3Ba", "/%3B", "/%20", "/..%20"),
        *("/\uff0e\uff0e", "/%EF%BC%8E%EF%BC%8E", "/%EF%BC%8F", "/%E2%80%A5", "/%EF%BC%852e"),
        *("/%E2%80%AE", "/%EF%BB%BF", "/%E2%80%8B", "/%E2%80%A8", "/%C2%85", "/%EF%BC%BC"),
    ],
)
def test_a_segment_that_is_no_plain_name_is_refused(path: str):
    with pytest.raises(ValueError, match=r"\w"):
        Url.parse(f"https://api.test{path}")


@pytest.mark.parametrize("value", [None, 1, b"https://api.test/", ["https://api.test/"]])
def test_a_url_is_a_text(value: object):
    with pytest.raises(ValueError, match="a text"):
        Url.parse(value)
