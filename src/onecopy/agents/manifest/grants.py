"""What an agent may reach, as data; nothing is granted that is not written here."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal, get_args

import msgspec

from onecopy.agents.manifest.origin import Origin
from onecopy.agents.manifest.path_template import PathTemplate
from onecopy.agents.manifest.quantities import Duration, Size, plain
from onecopy.agents.manifest.url import Url
from onecopy.agents.manifest.wrong import Wrong
from onecopy.agents.secrets import HeaderValue, Secret

Meta = msgspec.Meta
Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
METHODS: Final[tuple[str, ...]] = get_args(Method)

_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}", re.ASCII)
_QUERY: Final = re.compile(r"[A-Za-z0-9_.\[\]-]{1,64}", re.ASCII)
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
# Who frames the message, or whom it is for, is not for a manifest to say (RFC 9110, 7.6.1).
_FRAMING = """
    host content-length transfer-encoding connection keep-alive te trailer upgrade expect
    proxy-connection proxy-authorization proxy-authenticate accept-encoding
"""
FRAMING: Final = frozenset(_FRAMING.split())
_CREDENTIALS = ("authorization", "cookie")
# Credentials are added by the host; the others make a server see another request than was checked.
_GUESTS_NEVER = """
    authorization cookie cookie2 forwarded x-forwarded-for x-forwarded-host x-forwarded-proto
    x-real-ip x-http-method-override x-http-method x-method-override x-original-url x-rewrite-url
    x-original-host x-host
"""
UNSENT: Final = FRAMING | frozenset(_GUESTS_NEVER.split())


class HttpGrant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[[grants.http]]`: requests with one method to paths of one origin."""

    origin: Origin
    method: Method
    path: PathTemplate
    query: tuple[str, ...] = ()
    """Names that a query may have, each once."""
    headers: dict[str, HeaderValue] = {}
    """Added by the host; the guest never sees them."""
    guest_headers: tuple[str, ...] = ()
    """Headers that the guest may send beside the usual ones."""
    private: bool = False
    """Whether the origin may be at a loopback or private address."""
    max_request: Size = Size(1 << 20)
    max_response: Size = Size(4 << 20)
    timeout: Duration = Duration(30)
    """Seconds for a whole exchange, its redirects included."""

    def __post_init__(self) -> None:
        plain(self)
        if self.origin.scheme == "http" and not self.private:
            raise Wrong("origin", "write https://, or private = true for an address at home")
        for name in self.query:
            if not _QUERY.fullmatch(name):
                raise Wrong("query", f"{name!r} is no name of a parameter")
        _check_headers("headers", list(self.headers), FRAMING)
        for name, value in self.headers.items():
            if name.lower() in _CREDENTIALS and not value.secrets:
                raise Wrong("headers", f'{name} is a secret: name it, as "Bearer env:NAME"')
        _check_headers("guest_headers", list(self.guest_headers), UNSENT)
        if self.path.endswith("...}/"):
            raise Wrong("path", "{name...} is the end of a path; leave out the / behind it")

    @property
    def line(self) -> str:
        """The grant as a manifest has it, on one line."""
        line = f'[[grants.http]] origin = "{self.origin}", method = "{self.method}", '
        return line + f'path = "{self.path}"'


class Price(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """USD for a million tokens."""

    input: Annotated[float, Meta(ge=0)]
    output: Annotated[float, Meta(ge=0)]


class LlmGrant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[grants.llm]`: chat completions from an endpoint, or from a text model of the store."""

    url: str = ""
    """Such as `https://api.openai.com/v1`."""
    model: str = ""
    """`store:NAME`, without `url`."""
    models: tuple[str, ...] = ()
    """With `url`: the models that may be asked."""
    key: Secret | None = None
    tokens: Annotated[int, Meta(ge=1)] = 200_000
    """Of a run, asked and answered."""
    usd: Annotated[float, Meta(gt=0)] | None = None
    """Of a run."""
    usd_per_day: Annotated[float, Meta(gt=0)] | None = None
    price: Price | None = None
    private: bool = False
    timeout: Duration = Duration(120)

    def __post_init__(self) -> None:
        plain(self)
        if bool(self.url) == bool(self.model):
            raise Wrong("url", 'write either url, or model = "store:NAME"')
        self._check_endpoint() if self.url else self._check_model()
        if (self.usd or self.usd_per_day) and self.price is None:
            raise Wrong("price", "money is counted by price = { input = …, output = … }")

    def _check_endpoint(self) -> None:
        try:
            url = Url.parse(self.url)
        except ValueError as error:
            raise Wrong("url", str(error)) from None
        if url.query:
            raise Wrong("url", "leave out what follows the ?")
        if url.origin.scheme == "http" and not self.private:
            raise Wrong("url", "write https://, or private = true for an address at home")
        if not self.models:
            raise Wrong("models", "name the models that may be asked")

    def _check_model(self) -> None:
        kind, _, name = self.model.partition(":")
        if kind != "store" or not name:
            raise Wrong("model", 'write the name of a text model in the store: "store:NAME"')
        if self.models or self.key:
            raise Wrong("models" if self.models else "key", "these are for an endpoint (url)")


class KvGrant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[grants.kv]`: values that outlive a run."""

    quota: Size = Size(1 << 20)
    """Bytes of all keys and values of the agent."""

    def __post_init__(self) -> None:
        plain(self)


class MemoryGrant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[grants.memory]`: texts that are found again by their meaning."""

    collections: tuple[str, ...]
    quota: Size = Size(64 << 20)

    def __post_init__(self) -> None:
        plain(self)
        if not self.collections or not all(map(_NAME.fullmatch, self.collections)):
            raise Wrong("collections", 'write names of letters, digits, - and _: ["notes"]')


class ToolGrant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[[grants.tools]]`: a function of the host."""

    name: str
    """Of an entry point of the group `onecopy.tools`, or of a tool that the server has."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise Wrong("name", f"{self.name!r} is no name of letters, digits, - and _")


class EntriesGrant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[grants.entries]`: entries of the store, to read."""

    names: tuple[str, ...]
    """Patterns: `*` is any text, slashes included, `?` one character, `[ab]` one of these."""

    def __post_init__(self) -> None:
        if not self.names or not all(self.names):
            raise Wrong("names", 'write patterns of names, such as ["docs/*"]')


class Grants(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[grants]`."""

    http: tuple[HttpGrant, ...] = ()
    llm: LlmGrant | None = None
    kv: KvGrant | None = None
    memory: MemoryGrant | None = None
    tools: tuple[ToolGrant, ...] = ()
    entries: EntriesGrant | None = None

    def __post_init__(self) -> None:
        names = [tool.name for tool in self.tools]
        for name in names:
            if names.count(name) > 1:
                raise Wrong("tools", f"two tools have the name {name!r}")

    @property
    def secrets(self) -> list[Secret]:
        """All secrets that grants name."""
        values = [value for grant in self.http for value in grant.headers.values()]
        named = [secret for value in values for secret in value.secrets]
        return [*named, self.llm.key] if self.llm and self.llm.key else named


def _check_headers(key: str, names: list[str], refused: frozenset[str]) -> None:
    for name in names:
        if not _TOKEN.fullmatch(name) or name.lower() in refused:
            raise Wrong(key, f"{name!r} is no header that can be set")
    if len({name.lower() for name in names}) < len(names):
        raise Wrong(key, "a header is there twice")
