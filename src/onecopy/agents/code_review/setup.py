"""What `onecopy agent init code-review` writes: the bot's source, and a manifest filled in."""

from __future__ import annotations

import ipaddress
import json
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from onecopy.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterator

GUEST: Final = Path(__file__).with_name("guest")
"""The folder with the bot's source."""

_ASKS: Final = "events/opened.json"
_TOKEN: Final = 'headers = { Authorization = "Bearer env:GITHUB_TOKEN" }'
_README: Final = """\
# code-review

    export GITHUB_TOKEN=…              # may read the code, and write pull requests and issues
    export GITHUB_WEBHOOK_SECRET=…     # as in the webhook's settings
@KEY@\
    onecopy agent test@STORE@                     # with the files in events/; nothing is reached
    onecopy agent run --event event.json   # review a pull request now: put yours into event.json
    onecopy agent serve                    # take webhooks at /github

The webhook sends `pull_request` and `issue_comment` as `application/json`. `agent.toml` has the
settings, and all that the bot may reach; docs/code-review.md has the rest.
"""


def files(*, github: str, llm: str, model: str) -> dict[str, str]:
    """Return what the bot's folder has, by names relative to it.

    `github` is the address of GitHub's API, `llm` that of a model's or `store:NAME`. Where one is
    at home (http, or a loopback or private address), its grants say so.

    Raises:
        InvalidArgument: an address is none.
    """
    found = {path.relative_to(GUEST).as_posix(): path.read_text() for path in _sources()}
    api = github.rstrip("/")
    found["agent.toml"] = _manifest(found["agent.toml"], api, llm, model)
    for name in (each for each in found if each.startswith("events/")):
        found[name] = found[name].replace("@API@", api)
    if _is_local(llm):  # which answers itself, whatever a file says
        del found[_ASKS]
    key = "" if _is_local(llm) else "    export OPENAI_API_KEY=…            # of the model\n"
    store = " --store NAME" if _is_local(llm) else ""
    found["README.md"] = _README.replace("@KEY@", key).replace("@STORE@", store)
    example = {"number": 1, "repository": {"full_name": "octo-org/hello"}}
    found["event.json"] = json.dumps(example, indent=2) + "\n"
    return dict(sorted(found.items()))


def next_steps(folder: Path) -> list[str]:
    """Return what to tell who has just made the folder."""
    return [
        f"next: onecopy agent test {folder}",
        f"then: export the variables that {folder / 'README.md'} names",
        f"and: onecopy agent serve {folder}",
    ]


def _sources() -> Iterator[Path]:
    for path in sorted(GUEST.rglob("*")):
        if path.suffix in (".py", ".toml", ".json"):
            yield path


def _manifest(template: str, github: str, llm: str, model: str) -> str:
    origin, prefix = _split(github, "--github")
    private = _is_private(github)
    filled = {
        "API": github,
        "ORIGIN": origin,
        "PREFIX": prefix,
        "MODEL": "" if _is_local(llm) else model,
        "COMMON": f"{_TOKEN}\nprivate = true" if private else _TOKEN,
        "LLM": _llm(llm, model),
    }
    for name, text in filled.items():
        template = template.replace(f"@{name}@", text)
    return template


def _llm(llm: str, model: str) -> str:
    if _is_local(llm):
        return f"model = {json.dumps(llm)}"
    _split(llm, "--llm")
    lines = [f"url = {json.dumps(llm)}", f"models = [{json.dumps(model)}]"]
    lines.append("private = true" if _is_private(llm) else 'key = "env:OPENAI_API_KEY"')
    return "\n".join(lines)


def _is_local(llm: str) -> bool:
    return llm.startswith("store:")


def _split(url: str, option: str) -> tuple[str, str]:
    """Return an address's origin, and its path."""
    parts = urlsplit(url)
    odd = parts.query or parts.fragment or parts.username or not url.isprintable() or '"' in url
    if parts.scheme not in ("http", "https") or not parts.hostname or odd:
        raise InvalidArgument(f"{option} {url!r} is no address such as https://HOST/api/v3")
    return f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")


def _is_private(url: str) -> bool:
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return parts.scheme == "http" or host == "localhost"
    return parts.scheme == "http" or not address.is_global
