"""Text models behind an OpenAI-compatible endpoint, such as vLLM's, llama.cpp's or OpenAI's own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import msgspec

from onecopy.errors import InvalidArgument, UnsupportedOperation
from onecopy.nn.backends import registry
from onecopy.nn.backends.options import parse
from onecopy.nn.backends.text.options import split

if TYPE_CHECKING:
    from onecopy.nn.backends.backend import Source
    from onecopy.nn.backends.openai.model import OpenAiModel

_APIS: Final = ("chat", "completions")


class HostOptions(msgspec.Struct, kw_only=True):
    """What a host says about an endpoint, beside the options of guests as defaults for all."""

    base_url: str
    """Such as `https://api.openai.com/v1`; guests cannot choose it."""
    model: str
    """Its name there."""
    api_key_env: str = ""
    """The *name* of the environment variable that has the key; none is sent if empty."""
    api: str = "chat"
    """`chat` sends a prompt as a user's message, `completions` has it continued."""
    system: str = ""
    """With `chat`: a message that comes first."""
    max_tokens_name: str = "max_tokens"
    """What the endpoint calls `n-predict`; `max_completion_tokens` for OpenAI's newer models."""
    extra: dict[str, Any] = {}
    """More fields of each request."""
    timeout: float = 60.0
    """Seconds to wait for a connection, and for each next piece of an answer."""
    total_timeout: float = 600.0
    """Seconds that a whole answer may take."""
    max_nbytes: int = 16 << 20
    """Bytes that an answer may have, as it is sent."""

    def __post_init__(self) -> None:
        url = urlsplit(self.base_url)
        # A port that is none is a ValueError, too.
        if url.scheme not in ("http", "https") or not url.hostname or url.port == 0:
            raise ValueError(f"base_url={self.base_url!r} is no http:// or https:// address")
        if url.username or url.password or url.query or url.fragment:
            raise ValueError(
                "base_url has a user, a query or a fragment; name a key by api_key_env"
            )
        if self.api not in _APIS:
            raise ValueError(f"api={self.api!r}; there are {', '.join(_APIS)}")
        if not (self.timeout > 0 and self.total_timeout > 0 and self.max_nbytes > 0):
            raise ValueError("timeout, total_timeout and max_nbytes are above 0")


class OpenAi:
    """Continues texts, and makes embeddings of them, by asking an endpoint."""

    encodings = ()
    suffixes = ()
    remote = True
    """Its models are neither entries nor files."""

    def environment(self, source: Source) -> tuple[str, ...]:
        """Return the environment variables that a process for this model needs."""
        name = source.options.get("api_key_env")
        named = (name,) if isinstance(name, str) and name else ()
        return (*named, "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE")

    def load(self, source: Source) -> OpenAiModel:
        """Prepare to ask, as `Backend.load` says; nothing is sent yet."""
        registry.require("httpx", "openai")
        if source.foreign:
            raise UnsupportedOperation("a guest cannot bring an endpoint; have the host name one")
        own, defaults = split(source.options, HostOptions.__struct_fields__)
        host = parse(own, HostOptions)
        from onecopy.nn.backends.openai.endpoint import Endpoint
        from onecopy.nn.backends.openai.model import OpenAiModel

        endpoint = Endpoint(
            host.base_url,
            key=_key(host.api_key_env),
            timeout=host.timeout,
            total_timeout=host.total_timeout,
            max_nbytes=host.max_nbytes,
        )
        return OpenAiModel(endpoint, host, defaults)


def _key(name: str) -> str:
    if not name:
        return ""
    key = os.environ.get(name, "").strip()
    if not key:
        raise InvalidArgument(f"the environment variable {name} (api_key_env) is not set here")
    if not (key.isascii() and key.isprintable()):
        raise InvalidArgument(f"the environment variable {name} (api_key_env) holds no key")
    return key
