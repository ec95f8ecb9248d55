"""Whatever fails and whenever: in the end there is one comment, and one on each line."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st
from onecopy_agent import Failed, Timeout, TooLarge, Unavailable
from onecopy_agent.entry import Ended
from onecopy_agent.testing import Host
from review_bot.bot import handle

from tests.agents.code_review.conftest import answer, finding
from tests.agents.code_review.memory_github import MemoryGitHub

ERRORS = [Timeout("slow"), Failed("reset"), Unavailable("down"), TooLarge("long")]
STATUSES = [500, 502, 503, 429]
# Of a request: does it have its effect, and what comes back in place of its answer.
FAULT = st.tuples(st.booleans(), st.sampled_from([*ERRORS, *STATUSES]))


class FaultyGitHub(MemoryGitHub):
    """Fails at the requests that a test has chosen, counted over all attempts."""

    def __init__(self, plan):
        super().__init__()
        self.plan, self.count = plan, 0

    def serve(self, sent):
        self.count += 1
        fault = self.plan.get(self.count)
        if fault is None:
            return super().serve(sent)
        happens, what = fault
        if happens and what != 429 and not isinstance(what, Unavailable):
            super().serve(sent)
        if isinstance(what, Exception):
            raise what
        return what, {}, {"message": "not now"}


def review(github, host, attempt):
    event = {
        "id": "e",
        "kind": "pull_request.opened",
        "fields": {"repo": "octo/hello", "number": "7"},
        "settings": {"github": github.api, "labels": {"high": "risk-high"}},
        "attempt": attempt,
    }
    try:
        return host.run(handle, event)
    except Ended as ended:
        return json.loads(str(ended))


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.integers(1, 30), FAULT, max_size=12))
def test_faults_at_any_requests_leave_one_of_everything(plan):
    github = FaultyGitHub(plan)
    with Host() as host:
        host.http.serve(github.serve)
        told = json.dumps(answer(finding(11), finding(9, title="Other")))
        host.llm.serve(lambda request: told)
        for attempt in range(1, 20):
            ended = review(github, host, attempt)
            if ended.get("status"):
                break
            assert ended.get("retry_after", 1) > 0
    assert ended["status"] in ("reviewed", "skipped")
    assert len(github.comments) == 1
    assert sorted(each["line"] for each in github.line_comments) == [9, 11]
    assert len(host.llm.requests) <= 2, "twice where only the last answer of all was lost"
    assert not any(key.startswith("answer:") for key in host.kv["conversation"])
