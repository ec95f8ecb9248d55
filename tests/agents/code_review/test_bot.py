"""The bot's flow: conditions, one comment, increments, lines, labels."""

from __future__ import annotations

import pytest

from tests.agents.code_review.conftest import LABELS, comment_event, finding, says


def test_an_opened_pull_request_gets_one_comment(bot, github):
    result = bot()
    assert result["status"] == "reviewed"
    assert len(github.comments) == 1
    assert "It adds a line." in github.body


def test_the_same_delivery_again_changes_nothing(bot, github, host):
    bot()
    body, asked = github.body, len(host.llm.requests)
    assert bot() == {"status": "skipped", "why": "this head is reviewed already"}
    assert github.body == body
    assert len(host.llm.requests) == asked


def test_a_new_commit_updates_the_comment_and_is_reviewed_alone(bot, github, host):
    bot()
    github.push({"new.py": "import os\nos.system(x)\n"})
    says(host, finding(2, "new.py", title="A command from outside"), summary="It runs a command.")
    result = bot("pull_request.synchronize")
    assert result["scope"] == "incremental"
    assert len(github.comments) == 1
    assert "A command from outside" in github.body
    assert "It adds a line." in github.body, "the first summary stays"
    asked = host.llm.requests[-1]["messages"][-1]["content"]
    assert "os.system" in asked
    assert "new line" not in asked, "what was reviewed is not sent again"


def test_findings_follow_their_lines_and_end_with_them(bot, github, host):
    says(host, finding(11))
    bot()
    moved = "zero\n" + github.commits[-1]["app.py"]
    github.push({"app.py": moved})
    says(host)
    bot("pull_request.synchronize")
    assert "line 12: **It fails**" in github.body
    github.push({"app.py": moved.replace("new line", "another line")})
    bot("pull_request.synchronize")
    assert "It fails" not in github.body
    assert "Earlier findings that no longer apply: 1." in github.body


def test_a_force_push_is_reviewed_as_a_whole(bot, github):
    bot()
    github.force_push({"app.py": github.base["app.py"] + "the end\n"})
    assert bot("pull_request.synchronize")["scope"] == "full"
    assert len(github.comments) == 1


def test_findings_are_commented_on_their_lines_once(bot, github, host):
    says(host, finding(11), finding(9, severity="low"), finding(999), finding(3, "elsewhere.py"))
    assert bot()["inline"] == 1
    [made] = github.line_comments
    assert (made["path"], made["side"], made["line"]) == ("app.py", "RIGHT", 11)
    assert made["commit_id"] == github.head
    bot("issue_comment.created", comment_event())
    assert len(github.line_comments) == 1


def test_a_removed_line_is_commented_on_its_own_side(bot, github, host):
    github.push({"app.py": github.base["app.py"].replace("line 20\n", "")})
    says(host, finding(20, side="LEFT"))
    bot()
    assert [(each["side"], each["line"]) for each in github.line_comments] == [("LEFT", 20)]


def test_labels_say_the_risk_and_change_with_it(bot, github, host):
    github.labels = ["bug", "risk-low"]
    says(host, risk="high")
    bot(settings={"labels": LABELS})
    assert github.labels == ["bug", "risk-high"]


@pytest.mark.parametrize(
    ("pull", "why"), [({"state": "closed"}, "closed"), ({"draft": True}, "draft")]
)
def test_closed_pull_requests_and_drafts_are_left_alone(bot, github, host, pull, why):
    github.pull.update(pull)
    assert why in bot()["why"]
    assert not host.llm.requests
    assert not github.comments


def test_a_pull_request_that_is_gone_is_left_alone(bot, github):
    github.faults.append(("GET .*/pulls/7$", (404, {}, {"message": "Not Found"})))
    assert bot() == {"status": "skipped", "why": "the pull request is gone"}


def test_who_may_write_can_ask_for_a_review(bot, github, host):
    bot()
    assert bot("issue_comment.created", comment_event())["scope"] == "full"
    assert bot("issue_comment.created", comment_event())["status"] == "skipped", "a redelivery"
    assert len(github.comments) == 1


@pytest.mark.parametrize(
    "asking",
    [
        comment_event(login="eve"),
        comment_event(login="nobody"),
        comment_event("no phrase"),
        comment_event(login="other[bot]", kind="Bot"),
    ],
)
def test_nobody_else_can(bot, github, host, asking):
    assert bot("issue_comment.created", asking)["status"] == "skipped"
    assert not host.llm.requests
    assert not github.comments


def test_the_bots_own_comment_asks_for_nothing(bot, github, host):
    github.permissions["review-bot"] = "admin"
    says(host, finding(11, title="Says `@review-bot` in code"))
    bot()
    own = comment_event(github.body, login="review-bot")
    assert "@review-bot" in github.body
    assert bot("issue_comment.created", own)["why"] == "the comment is the bot's own"


def test_labels_without_a_grant_cost_no_review(bot, github, host):
    github.labels = ["mine"]
    assert bot(settings={"labels": {"low": "yours", "high": "mine"}})["status"] == "reviewed"
    assert len(github.comments) == 1


def test_a_marker_of_somebody_else_is_not_the_bots(bot, github):
    bot()
    fake = {"id": 1, "body": github.body, "user": {"login": "eve", "type": "User"}}
    github.comments.insert(0, fake)
    github.push({"b.py": "x\n"})
    bot("pull_request.synchronize")
    assert fake["body"] != github.body


def test_an_app_finds_its_comment_without_knowing_its_name(bot, github):
    github.app = True
    bot()
    github.push({"b.py": "x\n"})
    bot("pull_request.synchronize")
    assert len(github.comments) == 1


def test_a_comment_that_a_person_removed_is_made_anew(bot, github):
    bot()
    github.comments.clear()
    bot()
    assert len(github.comments) == 1
