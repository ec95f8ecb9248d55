"""What an agent may reach, as data; nothing is granted that is not written here."""

from __future__ import annotations

import re
from typing import Annotated, Final

import msgspec

from onecopy.agents.manifest.http_grant import HttpGrant
from onecopy.agents.manifest.quantities import Duration, Size, plain
from onecopy.agents.manifest.tool_grant import ToolGrant
from onecopy.agents.manifest.url import Url
from onecopy.agents.manifest.wrong import Wrong
from onecopy.agents.secrets import Secret

Meta = msgspec.Meta

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


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
        requests = [each.request for each in self.tools if each.request]
        values = [value for each in (*self.http, *requests) for value in each.headers.values()]
        named = [secret for value in values for secret in value.secrets]
        return [*named, self.llm.key] if self.llm and self.llm.key else named
