"""docs/agents-capabilities.md: its snippets run, and its numbers are those of the code."""

from __future__ import annotations

import re
from pathlib import Path

from onecopy.agents import calls
from onecopy.agents.grants.llm import answer, budget, endpoint, request, sse
from onecopy.agents.grants.llm.failures import _PASSES
from onecopy.agents.grants.memory import memory, segments
from onecopy.agents.grants.memory.embedder import PART, PARTS
from tests.pages import ROOT, run_page

PAGE = (ROOT / "docs" / "agents-capabilities.md").read_text()


def test_the_snippets_run(tmp_path: Path) -> None:
    run_page("agents-capabilities.md", tmp_path)


def test_it_has_every_code_of_a_refusal() -> None:
    codes = {v for k, v in vars(calls).items() if k.isupper() and isinstance(v, str)}
    assert set(re.findall(r"^\| `([a-z-]+)` \|", PAGE, re.MULTILINE)) == codes


def test_it_has_every_field_of_a_request_that_passes() -> None:
    listed = PAGE.partition("Fields that pass:")[2].partition("says nothing")[0]
    fields = set(request.Request.__struct_fields__) - {"stream_options"}
    assert set(re.findall(r"`(\w+)`", listed)) == fields


def test_its_numbers_are_those_of_the_code() -> None:
    told = [
        f"at most {request.REQUEST_BYTES >> 20} MiB",
        f"at most {budget.ANSWER_TOKENS} tokens",
        ", ".join(map(str, sorted(_PASSES))),
        f"an answer over {answer.ANSWER_BYTES >> 20} MiB, an event over {sse.EVENT_BYTES >> 20} MiB"
        f", a stream over {endpoint.STREAM_BYTES >> 20} MiB, more than {answer.CALLS} calls",
        f"up to {memory.HITS} that are",
        f"up to {memory.TEXT_BYTES >> 10} KiB, metadata {memory.METADATA_BYTES >> 10} KiB",
        f"the first {PART * PARTS:,}\ncharacters",
        f"{segments.ROWS} vectors in each",
    ]
    assert [each for each in told if each not in PAGE] == []
