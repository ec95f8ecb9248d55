"""`agent init code-review`: a manifest that holds, for any GitHub and any model."""

from __future__ import annotations

import pytest

from onecopy.agents.code_review.setup import files
from onecopy.agents.manifest import Manifest
from onecopy.errors import InvalidArgument
from tests.agents.bridge import complaint


def written(folder, github="https://api.github.com", llm="https://llm.test/v1", model="m"):
    made = files(github=github, llm=llm, model=model)
    return Manifest.parse(made["agent.toml"], folder)


def test_secrets_go_to_github_alone_and_nothing_is_private(tmp_path):
    manifest = written(tmp_path)
    for grant in manifest.grants.http:
        assert grant.origin == "https://api.github.com"
        assert list(grant.headers) == ["Authorization"]
        assert not grant.private
    assert not manifest.grants.llm.private
    assert (manifest.grants.memory, manifest.grants.tools, manifest.grants.entries) == (
        None,
        (),
        None,
    )


def test_all_that_is_written_is_bound_to_the_event(tmp_path):
    for grant in written(tmp_path).grants.http:
        assert str(grant.path) == "/user" or str(grant.path).startswith("/repos/{event.repo}/")
        if grant.method in ("POST", "DELETE"):
            assert "{event.number}" in grant.path


def test_an_enterprise_has_its_own_origin_and_prefix(tmp_path):
    manifest = written(tmp_path, github="https://github.example.com/api/v3/")
    assert manifest.settings["github"] == "https://github.example.com/api/v3"
    assert {str(each.origin) for each in manifest.grants.http} == {"https://github.example.com"}
    assert all(str(each.path).startswith("/api/v3/") for each in manifest.grants.http)


def test_servers_at_home_are_private_and_a_model_there_needs_no_key(tmp_path):
    manifest = written(tmp_path, "http://127.0.0.1:8080", "http://127.0.0.1:8081/v1")
    assert all(each.private for each in manifest.grants.http)
    assert manifest.grants.llm.private
    assert manifest.grants.llm.key is None


def test_a_model_of_the_store_needs_no_address(tmp_path):
    manifest = written(tmp_path, llm="store:tiny")
    assert manifest.grants.llm.model == "store:tiny"
    assert manifest.settings["model"] == ""


@pytest.mark.parametrize(
    "url", ["api.github.com", "ftp://x", 'https://x/"', "https://u:p@x", "https://x?y"]
)
def test_what_is_no_address_is_refused(url):
    with pytest.raises(InvalidArgument, match="no address"):
        files(github=url, llm="https://llm.test/v1", model="m")


REPOSITORY = {"full_name": "octo-org/hello"}
COMMENT = {"body": "@review-bot please", "user": {"login": "ada", "type": "User"}}


@pytest.mark.parametrize(
    ("kind", "payload", "bound"),
    [
        ("pull_request.opened", {"number": 7}, True),
        ("pull_request.synchronize", {"number": 7}, True),
        ("pull_request.closed", {"number": 7}, False),
        ("issue_comment.created", {"issue": {"number": 7, "pull_request": {}}}, True),
        ("issue_comment.created", {"issue": {"number": 7}}, False),
        ("issue_comment.edited", {"issue": {"number": 7, "pull_request": {}}}, False),
    ],
)
def test_events_of_one_pull_request_have_one_subject(tmp_path, kind, payload, bound):
    [webhook] = written(tmp_path).triggers.webhook
    whole = {"repository": REPOSITORY, "comment": COMMENT, **payload}
    found = [each for on in webhook.on if (each := on.bind(kind, whole))]
    told = ("octo-org/hello#7", {"repo": "octo-org/hello", "number": "7"})
    assert found == ([told] if bound else [])


GITHUBS = ["https://api.github.com", "https://github.example.com/api/v3/", "http://127.0.0.1:8080"]


@pytest.mark.parametrize("github", GITHUBS)
@pytest.mark.parametrize("event", ["draft.json", "opened.json"])
def test_its_events_are_as_expected(tmp_path, github, event):
    from review_bot.bot import handle

    for name, text in files(github=github, llm="https://llm.test/v1", model="m").items():
        path = tmp_path / "bot" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert complaint(tmp_path / "bot", event, handle, tmp_path / "state") == ""


def test_a_model_of_the_store_answers_itself_so_no_event_says_what():
    made = files(github="https://api.github.com", llm="store:tiny", model="")
    assert "events/draft.json" in made
    assert "events/opened.json" not in made
    assert "onecopy agent test --store NAME" in made["README.md"]
