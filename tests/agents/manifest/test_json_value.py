"""Tables of a manifest have to be JSON."""

from __future__ import annotations

import datetime
import math
from typing import Any

import pytest

from onecopy.agents.manifest.json_value import DEPTH, check
from onecopy.agents.manifest.wrong import Wrong


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def test_what_json_has_is_well():
    check({"a": [1, 2.5, "x", True, {"b": []}], "n": nested(DEPTH - 4)}, "settings")


@pytest.mark.parametrize(
    "value", [math.inf, -math.inf, math.nan, datetime.date(2020, 1, 1), nested(DEPTH)]
)
def test_anything_else_is_refused_with_its_key(value: Any):
    with pytest.raises(Wrong) as caught:
        check({"a": [value]}, "settings")
    assert caught.value.key.startswith("settings.a[0]")
