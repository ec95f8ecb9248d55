"""A GitHub or a model that does not answer, answers no, or answers too much."""

from __future__ import annotations

import json

import pytest

from tests.agents.code_review.conftest import LABELS, finding, says


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
