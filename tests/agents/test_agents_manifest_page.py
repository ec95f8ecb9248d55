"""docs/agents-manifest.md names every key with its default, and its examples are manifests."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from onecopy.agents.grants.http.headers import allowed
from onecopy.agents.manifest import Manifest
from onecopy.agents.manifest.grants import (
    EntriesGrant,
    KvGrant,
    LlmGrant,
    MemoryGrant,
)
from onecopy.agents.manifest.http_grant import UNSENT, HttpGrant
from onecopy.agents.manifest.limits import Limits, Records
from onecopy.agents.manifest.manifest import Agent
from onecopy.agents.manifest.origin import Origin
from onecopy.agents.manifest.path_template import PathTemplate
from onecopy.agents.manifest.tool_grant import ToolGrant, ToolRequest
from onecopy.agents.manifest.triggers import On, Schedule, Webhook
from onecopy.errors import InvalidManifest

PAGE = (Path(__file__).parents[2] / "docs" / "agents-manifest.md").read_text()
AGENT = '[agent]\nname = "x"\ncomponent = "x.wasm"\n'
SECTIONS = {
    "[agent]": Agent,
    "[limits]": Limits,
    "[records]": Records,
    "[[triggers.webhook]]": Webhook,
    "[[triggers.webhook.on]]": On,
    "[[triggers.schedule]]": Schedule,
    "[[triggers.cli]]": On,
    "[[grants.http]]": HttpGrant,
    "[grants.llm]": LlmGrant,
    "[grants.kv]": KvGrant,
    "[grants.memory]": MemoryGrant,
    "[[grants.tools]]": ToolGrant,
    "[grants.tools.request]": ToolRequest,
    "[grants.entries]": EntriesGrant,
}


def table(section: str) -> dict[str, str]:
    """The keys of a section's first table, and their defaults as written."""
    _, found, rest = PAGE.partition(f"# `{section}`\n")
    assert found, section
    text = rest.partition("\n#")[0].partition("| key | default | |\n")[2].partition("\n\n")[0]
    return dict(re.findall(r"^\| `(\w+)` \| (?:`(.*?)`)? *\|", text, re.MULTILINE))


def default(kind: Any, name: str) -> Any:
    field = {each.name: each for each in msgspec.structs.fields(kind)}[name]
    made = field.default_factory
    return field.default if made is msgspec.NODEFAULT else made()


@pytest.mark.parametrize("section", SECTIONS)
def test_a_section_has_its_keys_and_their_defaults(section: str):
    kind, written = SECTIONS[section], table(section)
    assert list(written) == list(kind.__struct_fields__)
    for name, text in written.items():
        value = default(kind, name)
        if section == "[agent]" and name in ("component", "source"):
            assert value == ""  # One of them has to be there.
        elif not text:
            assert value in (msgspec.NODEFAULT, None), name
        else:
            assert same(text, value), name


def same(text: str, value: Any) -> bool:
    from onecopy.agents.manifest.parameters import Parameters
    from onecopy.agents.manifest.quantities import Duration, Size

    given = toml(text)
    if isinstance(value, Parameters):
        return Parameters(given).schema == value.schema
    if isinstance(value, Size):
        return Size(given) == value
    if isinstance(value, Duration):
        return Duration(given) == value
    if isinstance(value, tuple):
        return tuple(given) == value
    return given == value


def toml(text: str) -> Any:
    try:
        import tomllib
    except ImportError:
        import tomli as tomllib
    return tomllib.loads(f"x = {text}")["x"]


EXAMPLES = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_a_manifest(example: str):
    Manifest.parse(example if "[agent]" in example else AGENT + example, ".")


def test_there_are_examples_of_all_that_has_more_than_a_number():
    together = "\n".join(EXAMPLES)
    for section in set(SECTIONS) - {"[records]"}:
        assert section in together


def test_the_python_example_runs():
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(code, {})


def test_the_refusal_that_is_shown_is_what_is_said():
    (shown,) = re.findall(r"```text\n(.*?)…?\n```", PAGE, re.DOTALL)
    text = AGENT + "\n" * 9 + "[limits]\ncals = 5\n"
    with pytest.raises(InvalidManifest) as caught:
        Manifest.parse(text, ".")
    assert str(caught.value).startswith(shown.strip(" …\n"))


def test_the_headers_that_are_named_are_the_guests_or_never():
    grant = HttpGrant(origin=Origin("https://x.y"), method="GET", path=PathTemplate("/"))
    text = PAGE.partition("**Headers.**")[2].partition("\n\n")[0]
    may, _, never = text.partition("`guest_headers` has")
    named = [name for name in re.findall(r"`([\w-]+)`", may) if name[0].isupper()]
    assert len(named) > 8
    assert all(allowed(grant, name) for name in named)
    for name in ("Authorization", "Cookie", "Host", "Forwarded"):
        assert f"`{name}`" in never
        assert name.lower() in UNSENT


def test_the_links_within_the_page_lead_somewhere():
    headings = re.findall(r"^#+ (.*)$", PAGE, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}
    links = re.findall(r"\]\(#([^)]*)\)", PAGE)
    assert len(links) > 15
    assert set(links) <= anchors
