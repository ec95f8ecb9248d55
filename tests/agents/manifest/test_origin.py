"""Origins: one way to write each host, and no address in the clothes of a name."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onecopy.agents.manifest.origin import Origin

hosts = st.text("0123456789abcdefxz.-_:[]%@/\\ A", max_size=24)


@pytest.mark.parametrize(
    ("text", "written", "authority"),
    [
        ("https://API.GitHub.com", "https://api.github.com", "api.github.com"),
        ("https://api.test:443", "https://api.test", "api.test"),
        ("http://api.test:443", "http://api.test:443", "api.test:443"),
        ("http://127.0.0.1:80", "http://127.0.0.1", "127.0.0.1"),
        ("http://[::1]:8080", "http://[::1]:8080", "[::1]:8080"),
        ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example", None),
        ("http://localhost:3000", "http://localhost:3000", "localhost:3000"),
        ("http://my_service", "http://my_service", "my_service"),
    ],
)
def test_an_origin_is_written_in_one_way(text: str, written: str, authority: str | None):
    origin = Origin(text)
    assert origin == written
    assert Origin(written) == origin
    assert origin.authority == (authority or written.partition("//")[2])


def test_names_are_no_addresses_and_addresses_are():
    assert not Origin("https://api.test").literal
    assert Origin("http://127.0.0.1").literal
    assert Origin("http://[::1]").literal
    assert Origin("http://[::1]").host == "::1"


@pytest.mark.parametrize(
    "host",
    """
    127.1 2130706433 0x7f.1 0x7f.0.0.1 017700000001 0177.0.0.1 1.2.3 1.2.3.4.5 256.1.1.1 1.2.3.04
    a.0x1 a.123 [::ffff:127.0.0.1] [::1%lo] [fe80::1%25eth0] [::1 ::1 [127.0.0.1] [] . .a a. a..b
    -a a- u@h u:p@h h:0 h:65536 h:080 h:x h: h/ h/x h?x h#x h\\x bücher.example ⓔxample.com
    """.split(),  # noqa: SIM905
)
def test_what_could_be_read_in_two_ways_is_refused(host: str):
    with pytest.raises(ValueError, match=r"\w"):
        Origin(f"https://{host}")


@pytest.mark.parametrize("text", ["api.test", "ftp://api.test", "https://", 5, None, "https:api"])
def test_scheme_and_host_are_needed(text: object):
    with pytest.raises(ValueError, match="no origin"):
        Origin(text)


@given(hosts)
def test_others_find_the_host_that_is_checked(text: str):
    """C's reader of addresses knows far more ways than the one that is accepted."""
    try:
        origin = Origin(f"https://{text}")
    except ValueError:
        return
    plain = urlsplit(str(origin))
    assert plain.hostname == origin.host
    assert (plain.port or 443) == origin.port
    assert plain.username is plain.password is None
    try:
        number = socket.inet_ntoa(socket.inet_aton(origin.host))
    except OSError:
        return
    assert origin.literal
    assert origin.host == number
