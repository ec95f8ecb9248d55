"""The list of what the demo's reviewer can say."""

from __future__ import annotations

import re

import pytest

from onecopy.demo.agent.remarks import Remark, all_remarks


def test_there_are_some_forty_each_with_a_title_of_its_own() -> None:
    remarks = all_remarks()
    assert len({each.title for each in remarks}) == len(remarks) == 40


@pytest.mark.parametrize("remark", all_remarks(), ids=lambda each: each.title)
def test_a_remark_is_considered_for_its_own_examples(remark: Remark) -> None:
    assert all(re.search(remark.words, each) for each in remark.examples)
    assert remark.detail.endswith((".", "?"))
    for pattern in (remark.context, remark.paths, remark.not_paths, remark.follows):
        re.compile(pattern)
    assert not remark.follows or remark.block
