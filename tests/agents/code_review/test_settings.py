"""Settings: known, of the right type, and described."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
from onecopy_agent import GiveUp
from review_bot.settings import Settings

PAGE = Path(__file__).parents[3] / "docs" / "code-review.md"


def test_every_setting_is_described():
    text = PAGE.read_text()
    assert [each.name for each in fields(Settings) if f"`{each.name}`" not in text] == []


def test_those_of_the_manifest_are_taken(manifest):
    settings = Settings.of(manifest.settings)
    assert settings.labels == {"low": "risk-low", "medium": "risk-medium", "high": "risk-high"}


@pytest.mark.parametrize("given", [{"inline": "3"}, {"labels": ["a"]}, {"drafts": 1}, {"x": 1}])
def test_others_are_refused_by_name(given):
    with pytest.raises(GiveUp, match=f"settings.*{next(iter(given))}"):
        Settings.of(given)
