"""The bot's flow: conditions, one comment, increments, and a GitHub that does not answer."""

from __future__ import annotations

import json

import pytest

from tests.agents.code_review.conftest import answer, comment_event, finding

LABELS = {"low": "risk-low", "medium": "risk-medium", "high": "risk-high"}


def says(host, *findings, **more):
    host.llm.serve(lambda request: json.dumps(answer(*findings, **more)))


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


def retry(call):
    from onecopy_agent.entry import Ended

    with pytest.raises(Ended) as caught:
        call()
    return json.loads(str(caught.value))


def lost(answered, sent):
    from onecopy_agent import Timeout

    answered(sent)
    return Timeout("no answer in time")


def failed_after(answered, sent):
    answered(sent)
    return 502, {}, "bad gateway"


@pytest.mark.parametrize("fault", [lost, failed_after])
@pytest.mark.parametrize("what", ["issues/7/comments", "pulls/7/comments"])
def test_an_ambiguous_post_that_was_done_is_not_done_again(bot, github, host, fault, what):
    says(host, finding(11))
    github.faults.append((f"POST .*{what}", fault))
    assert bot()["status"] == "reviewed"
    assert (len(github.comments), len(github.line_comments)) == (1, 1)


def not_done(answered, sent):
    return 500, {}, "oops"


@pytest.mark.parametrize("what", ["issues/7/comments", "pulls/7/comments"])
def test_one_that_was_not_done_is_left_to_the_next_attempt(bot, github, host, what):
    says(host, finding(11))
    github.faults.append((f"POST .*{what}", not_done))
    assert retry(lambda: bot(id="e"))["retry_after"] > 0
    asked = len(host.llm.requests)
    bot(id="e", attempt=2)
    assert (len(github.comments), len(github.line_comments)) == (1, 1)
    assert len(host.llm.requests) == asked, "the model is not paid twice"


PLACES = ["GET.*/user", "GET.*pulls/7$", "GET.*issues/7/comments", "GET.*files"]
PLACES += ["GET.*pulls/7/comments", "POST.*pulls/7/comments", "POST.*labels"]
PLACES += ["POST.*issues/7/comments"]


@pytest.mark.parametrize("place", PLACES)
def test_an_outage_at_any_request_leaves_one_of_everything(bot, github, host, place):
    from onecopy_agent import Unavailable

    says(host, finding(11))
    github.faults += [(place, Unavailable("down"))] * 2
    assert retry(lambda: bot(settings={"labels": LABELS}, id="e"))["retry_after"] > 0
    github.faults.clear()
    bot(settings={"labels": LABELS}, id="e", attempt=2)
    assert (len(github.comments), len(github.line_comments)) == (1, 1)
    assert len(host.llm.requests) == 1


@pytest.mark.parametrize(
    ("status", "headers", "message", "seconds"),
    [
        (429, {"Retry-After": "30"}, "Too many", 30),
        (403, {"Retry-After": "90"}, "You have exceeded a secondary rate limit", 90),
        (403, {}, "You have exceeded a secondary rate limit", 60),
        (403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "0"}, "API rate limit", 1),
        (503, {}, "Unavailable", 10),
    ],
)
def test_rate_limits_and_outages_put_the_event_off(bot, github, status, headers, message, seconds):
    fault = (status, headers, {"message": message})
    github.faults += [("GET .*/files", fault)] * 2
    assert retry(bot)["retry_after"] == seconds


def test_a_token_without_rights_ends_the_event(bot, github):
    reply = (403, {}, {"message": "Resource not accessible by integration"})
    github.faults.append(("POST .*issues/7/comments", reply))
    ended = retry(bot)
    assert ended["retry"] is False
    assert "Resource not accessible" in ended["message"]


def test_a_model_that_does_not_answer_puts_the_event_off(bot, host):
    from onecopy_agent import Timeout

    host.llm.reply(Timeout("too slow"))
    assert retry(bot)["retry_after"] == 10


def test_many_files_are_read_page_by_page_and_counted(bot, github, host):
    github.extra = [
        {"filename": f"src/{n}.py", "status": "added", "additions": 1, "deletions": 0}
        | {"patch": f"@@ -0,0 +1 @@\n+print({n})"}
        for n in range(250)
    ]
    result = bot(settings={"files": 120})
    assert "… and" in github.body
    assert "Not reviewed: 131 files" in github.body
    assert result["calls"] == 1


def test_a_change_of_a_million_lines_stays_within_its_calls(bot, github, host):
    big = "\n".join(f"+x = {n}" for n in range(50_000))
    github.extra = [
        {"filename": f"big{n}.py", "status": "added", "additions": 50_000, "deletions": 0}
        | {"patch": f"@@ -0,0 +1,50000 @@\n{big}" if n < 3 else None}
        for n in range(20)
    ]
    result = bot(settings={"calls": 3})
    assert result["calls"] == 4, "three parts, and one that merges them"
    assert "the change is too large" in github.body
    assert "too large" in github.body


def test_pages_that_are_too_large_are_asked_for_in_smaller_ones(bot, github):
    from onecopy_agent import TooLarge

    github.faults.append(("GET .*/files", TooLarge("over 4 MiB")))
    assert bot()["status"] == "reviewed"


def test_unknown_settings_end_the_event_with_their_name(bot):
    assert "inlin" in retry(lambda: bot(settings={"inlin": 3}))["message"]
