"""`[settings]` of agent.toml, with what holds where they say nothing."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from onecopy_agent import GiveUp, schema


@dataclass(frozen=True)
class Settings:
    """How the bot works; docs/code-review.md says what each of them does."""

    github: str = "https://api.github.com"
    model: str = ""
    trigger: str = "@review-bot"
    drafts: bool = False
    inline: int = 10
    """The most comments on lines that one review adds; 0 for none."""
    inline_from: str = "medium"
    """The least severity of findings that get one."""
    labels: dict[str, str] | None = None
    """Labels by risk: `low`, `medium`, `high`; none if not given."""
    skip: list[str] | None = None
    """Patterns of paths that are not reviewed."""
    files: int = 300
    tokens_per_call: int = 12_000
    calls: int = 8
    max_tokens: int = 0
    """Of an answer; 0 leaves it to the model."""

    @classmethod
    def of(cls, given: dict[str, Any]) -> Settings:
        """Read them.

        Raises:
            GiveUp: one is unknown, or of another type.
        """
        names = {each.name for each in fields(cls)}
        wrong = schema.mismatch(given, {**schema.of_type(cls), "additionalProperties": False})
        if wrong or set(given) - names:
            raise GiveUp(f"[settings] of agent.toml: {wrong}")
        return cls(**given)
