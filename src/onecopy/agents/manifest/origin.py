"""Origins: the scheme, host and port that a grant is for."""

from __future__ import annotations

import ipaddress
import re
from typing import Any, Final

_ORIGIN: Final = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[1-9][0-9]{0,4}))?",
    re.ASCII | re.IGNORECASE,
)
_LABEL: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)
_PORTS: Final = {"http": 80, "https": 443}


class Origin(str):
    """A scheme, a host and a port, read strictly and written in one way.

    A user, a path, or a host that could be read in two ways is a `ValueError`, which says what to
    write.

    Example:
        >>> Origin("https://API.github.com:443")
        'https://api.github.com'
    """

    scheme: str
    host: str
    """A name or an address; one of IPv6 has no brackets."""
    port: int

    def __new__(cls, text: Any) -> Origin:
        """Read one; what is none is a `ValueError` that says what to write."""
        match = _ORIGIN.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise ValueError(
                f"{text!r} is no origin; write scheme, host and port, such as "
                '"https://api.github.com" or "http://127.0.0.1:8080" (a host of other letters '
                "as xn--…; no user, no path)"
            )
        scheme = match["scheme"].lower()
        port = int(match["port"] or _PORTS[scheme])
        if port > 65535:
            raise ValueError(f"{text!r} has no port from 1 to 65535")
        host = _host(match["host"].lower())
        origin = super().__new__(cls, f"{scheme}://{_authority(scheme, host, port)}")
        origin.scheme, origin.host, origin.port = scheme, host, port
        return origin

    @property
    def authority(self) -> str:
        """Host and port as the header `Host` has them."""
        return _authority(self.scheme, self.host, self.port)

    @property
    def literal(self) -> bool:
        """Whether its host is an address."""
        return ":" in self.host or self.host.rpartition(".")[2].isdigit()


def _authority(scheme: str, host: str, port: int) -> str:
    host = f"[{host}]" if ":" in host else host
    return host if port == _PORTS[scheme] else f"{host}:{port}"


def _host(text: str) -> str:
    if text.startswith("["):
        return _ipv6(text[1:-1])
    labels = text.split(".")
    # Resolvers take 0x7f.1, 127.1 and 2130706433 for addresses, too.
    if _NUMBER.fullmatch(labels[-1]):
        return _ipv4(text)
    if len(text) > 253 or not all(map(_LABEL.fullmatch, labels)):
        raise ValueError(f"{text!r} is no host name; write one without a dot at its end")
    return text


def _ipv4(text: str) -> str:
    try:
        return str(ipaddress.IPv4Address(text))
    except ValueError:
        raise ValueError(f"{text!r} is no address; write four numbers, as 192.0.2.1") from None


def _ipv6(text: str) -> str:
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        raise ValueError(f"{text!r} is no IPv6 address; write it like [2001:db8::1]") from None
    if address.ipv4_mapped is not None:
        raise ValueError(f"{text!r} is an IPv4 address in disguise; write {address.ipv4_mapped}")
    return str(address)
