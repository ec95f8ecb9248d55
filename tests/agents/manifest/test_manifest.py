"""A manifest says what an agent is called for and what it may reach; all else is refused."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onecopy.agents.manifest import BoundEvent, Limits, Manifest
from onecopy.errors import InvalidEvent, InvalidManifest

SMALL = '[agent]\nname = "hello"\ncomponent = "hello.wasm"\n'
WHOLE = """
[agent]
name = "code-review"
source = "agent.py"
description = "Reviews"

[settings]
labels = ["risky"]
threshold = 0.5

[limits]
memory = "32MiB"
seconds = "5m"
calls = 10

[[triggers.webhook]]
path = "/github"
signature = "github"
secret = "env:WEBHOOK_SECRET"

[[triggers.webhook.on]]
kinds = ["pull_request.opened", "pull_request.synchronize"]
fields = { repo = "repository.full_name", number = "number" }
subject = "{repo}#{number}"

[[triggers.webhook.on]]
kinds = ["issue_comment.created"]
fields = { repo = "repository.full_name", number = "issue.number" }
where = { "issue.pull_request" = "exists", "comment.body" = "contains:@review-bot" }
subject = "{repo}#{number}"

[[triggers.schedule]]
name = "nightly"
cron = "0 3 * * *"

[[triggers.cli]]
kinds = ["manual"]
fields = { repo = "repo" }
subject = "{repo}"

[[grants.http]]
origin = "https://api.github.com"
method = "POST"
path = "/repos/{event.repo}/issues/{event.number}/comments"
headers = { Authorization = "Bearer env:GITHUB_TOKEN" }

[grants.llm]
url = "https://api.openai.com/v1"
models = ["gpt-5-mini"]
key = "env:OPENAI_API_KEY"
usd = 0.5
price = { input = 0.25, output = 2.0 }

[records]
keep = "7d"
"""
PULL = {
    "action": "opened",
    "number": 7,
    "repository": {"full_name": "octo/hello"},
}
COMMENT = {
    "action": "created",
    "issue": {"number": 7, "pull_request": {"url": "…"}},
    "comment": {"body": "@review-bot please"},
    "repository": {"full_name": "octo/hello"},
}


def whole() -> Manifest:
    return Manifest.parse(WHOLE, "/agents/review")


def deliver(event: str, payload: object) -> BoundEvent | None:
    manifest = whole()
    webhook = manifest.webhook("/github")
    assert webhook is not None
    return manifest.bind_delivery(webhook, {"X-GitHub-Event": event}, payload)


def test_a_name_and_a_component_are_enough_and_grant_nothing():
    manifest = Manifest.parse(SMALL, "/agents")
    assert manifest.name == "hello"
    assert manifest.code == Path("/agents/hello.wasm")
    assert manifest.limits == Limits()
    assert manifest.grants.http == manifest.grants.tools == ()
    assert manifest.grants.llm is manifest.grants.kv is manifest.grants.memory is None
    assert manifest.grants.entries is None
    assert manifest.secrets == []


def test_sizes_and_durations_are_plain_numbers_that_messages_can_hold():
    limits = whole().limits
    assert (limits.memory, limits.seconds, limits.calls) == (32 << 20, 300.0, 10)
    assert (type(limits.memory), type(limits.seconds)) == (int, float)
    assert msgspec.json.decode(msgspec.json.encode(limits), type=dict)["memory"] == 32 << 20


def test_a_manifest_names_each_of_its_secrets_once():
    assert whole().secrets == ["env:WEBHOOK_SECRET", "env:GITHUB_TOKEN", "env:OPENAI_API_KEY"]


def test_a_folder_stands_for_the_agent_toml_in_it(tmp_path: Path):
    (tmp_path / "agent.toml").write_text(SMALL)
    assert Manifest.load(tmp_path) == Manifest.load(tmp_path / "agent.toml")
    assert Manifest.load(tmp_path).code == tmp_path / "hello.wasm"


def test_what_is_no_file_or_no_text_is_refused_by_its_name(tmp_path: Path):
    with pytest.raises(InvalidManifest, match=r"there is no .*absent\.toml"):
        Manifest.load(tmp_path / "absent.toml")
    (tmp_path / "agent.toml").write_bytes(b"\xff")
    with pytest.raises(InvalidManifest, match="no UTF-8"):
        Manifest.load(tmp_path)


def test_a_delivery_becomes_an_event_with_its_fields_and_subject():
    bound = deliver("pull_request", PULL)
    assert bound is not None
    assert (bound.agent, bound.trigger, bound.kind) == (
        "code-review",
        "webhook",
        "pull_request.opened",
    )
    assert bound.fields == {"repo": "octo/hello", "number": "7"}
    assert bound.subject == "octo/hello#7"
    event = bound.event("1", attempt=2, received=3.0)
    assert (event.id, event.attempt, event.received) == ("1", 2, 3.0)
    assert (event.payload, event.settings) == (PULL, {"labels": ["risky"], "threshold": 0.5})
    assert msgspec.json.decode(msgspec.json.encode(bound), type=BoundEvent) == bound


def test_a_kind_or_a_condition_that_does_not_hold_is_not_for_the_agent():
    assert deliver("issue_comment", COMMENT) is not None
    assert deliver("issue_comment", {**COMMENT, "comment": {"body": "hello"}}) is None
    assert deliver("issue_comment", {**COMMENT, "issue": {"number": 7}}) is None
    assert deliver("pull_request", {**PULL, "action": "closed"}) is None
    assert deliver("ping", {"zen": "…"}) is None
    assert deliver("ping", ["a list"]) is None


@pytest.mark.parametrize("name", ["octo/..", "../x", "a/./b", "a//b", "a/b?x", "a%2fb", "", "é"])
def test_a_field_that_could_change_a_path_is_refused(name: str):
    with pytest.raises(InvalidEvent):
        deliver("pull_request", {**PULL, "repository": {"full_name": name}})


@pytest.mark.parametrize("value", [True, 1.5, None, ["a"], {"a": 1}])
def test_a_field_is_a_text_or_a_whole_number(value: object):
    with pytest.raises(InvalidEvent):
        deliver("pull_request", {**PULL, "number": value})


def test_a_person_can_send_what_a_webhook_or_a_cli_trigger_takes():
    assert whole().bind_cli("manual", {"repo": "a/b"}).subject == "a/b"
    assert whole().bind_cli("pull_request.opened", PULL).trigger == "cli"
    with pytest.raises(InvalidEvent, match=r"add to agent\.toml: \[\[triggers\.cli\]\]"):
        whole().bind_cli("other", {})


def test_a_schedule_makes_events_named_like_it():
    manifest = whole()
    bound = manifest.bind_schedule(manifest.triggers.schedule[0])
    assert (bound.trigger, bound.kind, bound.subject) == ("schedule", "nightly", "nightly")


def test_standard_webhooks_have_their_kind_in_the_payload():
    text = SMALL + (
        '[[triggers.webhook]]\npath = "/in"\nsignature = "standard"\nsecret = "env:S"\n'
        '[[triggers.webhook.on]]\nkinds = ["user.created"]\nsubject = "all"\n'
    )
    manifest = Manifest.parse(text, ".")
    webhook = manifest.triggers.webhook[0]
    assert manifest.bind_delivery(webhook, {}, {"type": "user.created"}) is not None
    assert manifest.bind_delivery(webhook, {"X-GitHub-Event": "user.created"}, {}) is None


WRONG = [
    ('memory = "32MiB"', 'memory = "32MoB"', 12, "limits.memory", "8GiB"),
    ('memory = "32MiB"', 'memory = "1KiB"', 12, "limits.memory", "1MiB"),
    ("calls = 10", "calls = 0", 14, "limits.calls", ">= 1"),
    ("calls = 10", 'calls = "10"', 14, "limits.calls", "int"),
    ("calls = 10", "calls = true", 14, "limits.calls", "int"),
    ("calls = 10", "cals = 10", 14, "limits.cals", "did you mean 'calls'"),
    ('name = "code-review"', 'name = "Code Review"', 3, "agent.name", "small letters"),
    ('name = "code-review"', "", 2, "agent.name", "has to be there"),
    ('source = "agent.py"', 'source = "agent.rs"', 4, "agent.source", ".py"),
    ('source = "agent.py"', "", 2, "agent.component", "either"),
    ('path = "/github"', 'path = "github"', 17, "triggers.webhook[0].path", "/github"),
    ('signature = "github"', "", 16, "triggers.webhook[0].signature", "has to be there"),
    ('signature = "github"', 'signature = "none"', 18, "signature", "github, standard"),
    ('"env:WEBHOOK_SECRET"', '"hunter2"', 19, "triggers.webhook[0].secret", "env:NAME"),
    ('subject = "{repo}#{number}"', 'subject = "{rpo}"', 24, "webhook[0].on[0].subject", "rpo"),
    ('"contains:@', '"has:@', 29, "triggers.webhook[0].on[1].where", "contains:X"),
    ('"issue.pull_request"', '"issue..x"', 29, "triggers.webhook[0].on[1].where", "issue.number"),
    ('cron = "0 3 * * *"', 'cron = "99 * * * *"', 34, "triggers.schedule[0].cron", "0 3"),
    ('"POST"', '"post"', 43, "grants.http[0].method", "PATCH"),
    ('"POST"', '"CONNECT"', 43, "grants.http[0].method", "PATCH"),
    ("{event.number}", "{event.nmber}", 44, "grants.http[0].path", "fields of one"),
    ("https://api.github.com", "http://api.github.com", 42, "grants.http[0].origin", "private"),
    ("https://api.github.com", "https://u@github.com", 42, "grants.http[0].origin", "no user"),
    ("Authorization =", "Host =", 45, "grants.http[0].headers", "no header"),
    ("Bearer env:GITHUB_TOKEN", "Bearer hunter2", 45, "grants.http[0].headers", "env:NAME"),
    ("Bearer env:GITHUB", "Bearer env:GIT-HUB", 45, "grants.http[0].headers", "env:NAME"),
    ("price = { input = 0.25, output = 2.0 }", "", 47, "grants.llm.price", "price ="),
    ('models = ["gpt-5-mini"]', "", 47, "grants.llm.models", "may be asked"),
    ('url = "https://api.openai.com/v1"', "", 47, "grants.llm.url", "store:NAME"),
    ("[grants.llm]", "[grants.lm]", 47, "grants.lm", "did you mean 'llm'"),
    ('keep = "7d"', 'keep = "7y"', 55, "records.keep", "30s"),
    ("threshold = 0.5", "threshold = nan", 9, "settings.threshold", "JSON"),
    ("threshold = 0.5", "threshold = 2020-01-01", 9, "settings.threshold", "JSON"),
]


@pytest.mark.parametrize(("right", "wrong", "line", "key", "hint"), WRONG)
def test_what_cannot_be_is_refused_with_line_and_key_and_what_to_write(
    right: str, wrong: str, line: int, key: str, hint: str
):
    assert right in WHOLE
    with pytest.raises(InvalidManifest) as caught:
        Manifest.parse(WHOLE.replace(right, wrong, 1), ".", file="my/agent.toml")
    text = str(caught.value)
    assert text.startswith(f"my/agent.toml, line {line}: ")
    assert key in text
    assert hint in text
    assert "hunter2" not in text


SCRAPS = [
    *('""', "5", "-1", "true", "1.5", "nan", "inf", "2020-01-01", "[]", "{}", "[[]]", '"x"'),
    *("[agent]", "[[grants.http]]", "[grants]", "[x", "=", "\n", '"""', "{a = 1}", "\\", "#"),
    *("{event.x}", "{x...}", "env:A", "http://", "name = ", "[triggers]", "é", "\0", "{", "}"),
]
LINES = WHOLE.splitlines()


@st.composite
def spoiled(draw: st.DrawFn) -> str:
    """A manifest with some values, or bits of lines, replaced by others."""
    lines = list(LINES)
    for _ in range(draw(st.integers(1, 3))):
        index = draw(st.integers(0, len(lines) - 1))
        scrap = draw(st.sampled_from([*SCRAPS, *LINES]))
        key, equals, _ = lines[index].partition("=")
        if equals and draw(st.booleans()):
            lines[index] = f"{key}= {scrap}"
        else:
            start = draw(st.integers(0, len(lines[index])))
            lines[index] = lines[index][:start] + scrap
    return "\n".join(lines)


@given(spoiled())
def test_whatever_is_wrong_the_file_and_mostly_the_line_are_named(text: str):
    said = "agent.toml: "
    try:
        Manifest.parse(text, ".")
    except InvalidManifest as error:
        said = str(error)
    found = re.match(r"agent\.toml(, line (\d+)| is no TOML| is nested|: )", said)
    assert found, said
    assert int(found[2] or 1) <= len(text.splitlines())


def test_two_triggers_at_one_path_and_two_tools_of_one_name_are_refused():
    hook = WHOLE[WHOLE.index("[[triggers.webhook]]") : WHOLE.index("[[triggers.schedule]]")]
    with pytest.raises(InvalidManifest, match="two have the path"):
        Manifest.parse(WHOLE + hook, ".")
    with pytest.raises(InvalidManifest, match="two tools"):
        Manifest.parse(WHOLE + '[[grants.tools]]\nname = "x"\n' * 2, ".")


@pytest.mark.parametrize("text", ["[agent", "a = 1\na = 2", "x = [" * 5000, "[agent]\nname = 'x"])
def test_what_is_no_toml_is_refused(text: str):
    with pytest.raises(InvalidManifest, match=r"agent\.toml (is no TOML|is nested)"):
        Manifest.parse(text, ".")
