"""Which addresses may be connected to: the public ones, and private ones by grant."""

from __future__ import annotations

import ipaddress
from typing import Final

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def _networks(*texts: str) -> tuple[Network, ...]:
    return tuple(map(ipaddress.ip_network, texts))


# Whoever can ask these gets credentials of the machine: AWS (both), Alibaba, Oracle, Azure. No
# grant is for them; those of other clouds are link-local.
_METADATA: Final = _networks(
    "169.254.0.0/16", "fd00:ec2::/32", "100.100.100.200/32", "192.0.0.192/32", "168.63.129.16/32"
)
_PRIVATE: Final = _networks(
    "127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"
) + _networks("::1/128", "fc00::/7")
# Its last four bytes are an IPv4 address that a gateway connects to (RFC 6052).
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
# All of IPv6 that is given out to networks so far.
_UNICAST: Final = ipaddress.ip_network("2000::/3")
# What other ways there are to write an IPv4 address: mapped, compatible, NAT64 of a site
# (RFC 8215), 6to4, Teredo, ISATAP is link-local or looks like any other.
_DISGUISED: Final = _networks("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96") + _networks(
    "64:ff9b:1::/48", "2002::/16", "2001::/32"
)


def refusal(text: str, *, private: bool, public: bool = True) -> str | None:
    """Say why an address may not be connected to; `None` if it may.

    Args:
        text: the address, as a resolver or `getpeername` writes it.
        private: whether loopback and private addresses are granted.
        public: whether others are.

    Example:
        >>> refusal("::ffff:127.0.0.1", private=False)
        'loopback or private'
    """
    try:
        address = _plain(ipaddress.ip_address(text.partition("%")[0]))
    except ValueError:
        return "no address"
    if address is None:
        return "an IPv4 address in an IPv6 one"
    if _within(address, _METADATA):
        return "link-local, or a cloud's metadata"
    if _within(address, _PRIVATE):
        return None if private else "loopback or private"
    # Unspecified, multicast, documentation, benchmarks, reserved, broadcast.
    if address.is_multicast or not address.is_global or not _given_out(address):
        return "not of the public Internet"
    return None if public else "public, and the connection would not be encrypted"


def _plain(address: Address) -> Address | None:
    """Unwrap an IPv4 address that is reached as such; `None` for other disguises."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    loopback = address.is_loopback
    return None if _within(address, _DISGUISED) and not loopback else address


def _given_out(address: Address) -> bool:
    return isinstance(address, ipaddress.IPv4Address) or address in _UNICAST


def _within(address: Address, networks: tuple[Network, ...]) -> bool:
    return any(address.version == each.version and address in each for each in networks)
