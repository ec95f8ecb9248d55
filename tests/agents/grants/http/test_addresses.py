"""Which addresses are connected to, one range at a time."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onecopy.agents.grants.http.addresses import refusal

PUBLIC = """
    1.1.1.1 93.184.215.14 140.82.121.6 2606:4700::1111 2a00:1450:4001::200e
""".split()  # noqa: SIM905
PRIVATE = """
    127.0.0.1 127.255.255.254 10.0.0.1 10.255.255.255 172.16.0.1 172.31.255.255 192.168.1.1
    100.64.0.1 100.127.255.255 ::1 fc00::1 fd12:3456::1
""".split()  # noqa: SIM905
# Never, whatever is granted: metadata of clouds, and what is no one machine or none at all.
NEVER = """
    169.254.169.254 169.254.0.1 169.254.170.2 fd00:ec2::254 100.100.100.200 192.0.0.192
    168.63.129.16 0.0.0.0 0.1.2.3 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255 192.0.2.1
    198.51.100.1 203.0.113.1 198.18.0.1 192.0.0.1 :: fe80::1 fec0::1 ff02::1 2001:db8::1 100::1
    4000::1 ::2
""".split()  # noqa: SIM905
# An IPv4 address in an IPv6 one, in ways that nobody needs.
DISGUISED = """
    ::127.0.0.1 ::10.0.0.1 ::ffff:0:127.0.0.1 64:ff9b:1::7f00:1 2002:7f00:1:: 2002:a00:1::1
    2001:0:7f00:1:: 2001::1
""".split()  # noqa: SIM905


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_reached_but_not_without_encryption(address: str):
    assert refusal(address, private=False) is None
    assert refusal(address, private=True) is None
    assert "encrypted" in refusal(address, private=True, public=False)


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_reached_by_grant(address: str):
    assert "private" in refusal(address, private=False)
    assert refusal(address, private=True) is None
    assert refusal(address, private=True, public=False) is None


@pytest.mark.parametrize("address", [*NEVER, *DISGUISED])
def test_others_are_never_reached(address: str):
    for public in (True, False):
        assert refusal(address, private=False, public=public) is not None
        assert refusal(address, private=True, public=public) is not None


@pytest.mark.parametrize("address", [each for each in [*PRIVATE, *NEVER] if ":" not in each])
@pytest.mark.parametrize("form", ["::ffff:{}", "64:ff9b::{}", "::FFFF:{}"])
def test_an_ipv4_address_is_checked_within_one_of_ipv6(address: str, form: str):
    assert refusal(form.format(address), private=False) is not None


@pytest.mark.parametrize("form", ["::ffff:{}", "64:ff9b::{}"])
def test_mapped_and_translated_addresses_are_what_they_stand_for(form: str):
    """Networks that have IPv6 only reach all others by the second one."""
    assert refusal(form.format("1.1.1.1"), private=False) is None
    assert refusal(form.format("127.0.0.1"), private=True) is None
    assert refusal(form.format("169.254.169.254"), private=True) is not None


@pytest.mark.parametrize("text", ["", "x", "127.1", "2130706433", "0x7f.0.0.1", "127.0.0.1/8"])
def test_what_is_no_address_is_refused(text: str):
    assert refusal(text, private=True) == "no address"


def test_a_zone_does_not_hide_an_address():
    assert refusal("fe80::1%eth0", private=True) is not None
    assert refusal("::1%lo", private=False) is not None


@given(st.ip_addresses(v=4), st.booleans())
def test_an_address_of_the_private_internet_is_never_public(address, private: bool):
    if refusal(str(address), private=False) is None:
        assert address.is_global
        assert not address.is_multicast


@given(st.ip_addresses(v=6))
def test_an_ipv6_address_that_is_reached_is_one_that_was_given_out(address):
    if refusal(str(address), private=False) is None and address.ipv4_mapped is None:
        translated = address in ipaddress.ip_network("64:ff9b::/96")
        assert translated or address in ipaddress.ip_network("2000::/3")
