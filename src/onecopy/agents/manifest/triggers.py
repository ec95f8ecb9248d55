"""What an agent is called for: signed webhooks, a schedule, events from the command line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any, Final, Literal

import msgspec

from onecopy.agents.manifest.event_fields import Condition, PayloadPath, Subject, take
from onecopy.agents.manifest.wrong import Wrong
from onecopy.agents.secrets import Secret

_KIND: Final = re.compile(r"[A-Za-z0-9_.:/-]{1,128}", re.ASCII)
_FIELD: Final = re.compile(r"[a-z_][a-z0-9_]{0,63}", re.ASCII)
_PATH: Final = re.compile(r"(/[A-Za-z0-9_-]+)+", re.ASCII)
_NAME: Final = re.compile(r"[a-z0-9-]{1,64}", re.ASCII)


class On(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Events of some kinds: `[[triggers.webhook.on]]` and `[[triggers.cli]]`."""

    kinds: tuple[str, ...]
    fields: dict[str, PayloadPath] = {}
    """Names, and where their values are in the payload."""
    where: dict[str, Condition] = {}
    """Paths into the payload; all have to hold, or the event is not for this agent."""
    subject: Subject

    def __post_init__(self) -> None:
        if not self.kinds or not all(map(_KIND.fullmatch, self.kinds)):
            raise Wrong("kinds", 'write names of events, such as ["pull_request.opened"]')
        for name in self.fields:
            if not _FIELD.fullmatch(name):
                raise Wrong("fields", f"{name!r} is no name of small letters, digits and _")
        for path in self.where:
            _checked("where", PayloadPath, path)
        if missing := self.subject.fields - self.fields.keys():
            raise Wrong("subject", f"{{{min(missing)}}} is not among the fields; add it there")

    def bind(self, kind: str, payload: Any) -> tuple[str, dict[str, str]] | None:
        """Return subject and fields of an event, or `None` if it is not for this agent.

        Raises:
            InvalidEvent: it is, and lacks a field, or has one that could change a path.
        """
        if kind not in self.kinds:
            return None
        if not all(
            test.holds(PayloadPath(path).find_in(payload)) for path, test in self.where.items()
        ):
            return None
        fields = {name: take(name, path, payload) for name, path in self.fields.items()}
        return self.subject.fill(fields), fields


class Webhook(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[[triggers.webhook]]`: a path of the server that takes signed deliveries."""

    path: str
    signature: Literal["github", "standard"]
    secret: Secret
    on: tuple[On, ...]

    def __post_init__(self) -> None:
        if not _PATH.fullmatch(self.path):
            raise Wrong("path", 'write a path of letters, digits, - and _, such as "/github"')
        if not self.on:
            raise Wrong("on", "add [[triggers.webhook.on]] with the kinds of events to take")

    def kind(self, headers: Mapping[str, str], payload: Any) -> str:
        """Return what kind of event a delivery is; empty if it does not say.

        GitHub's is the header `X-GitHub-Event`, and the payload's action behind a dot. The kind of
        Standard Webhooks is the payload's type.
        """
        found = payload if isinstance(payload, dict) else {}
        if self.signature == "standard":
            return _text(found.get("type"))
        names = [value for name, value in headers.items() if name.lower() == "x-github-event"]
        action = _text(found.get("action"))
        if len(names) != 1:
            return ""
        return f"{names[0]}.{action}" if action else names[0]


class Schedule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[[triggers.schedule]]`: events at times of the UTC clock."""

    name: str
    cron: str
    subject: str = ""
    """Its name, if not given."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise Wrong("name", f"{self.name!r} is no name of small letters, digits and -")
        if "{" in self.subject:
            raise Wrong("subject", "an event of a schedule has no fields")
        from cronsim import CronSim, CronSimError

        try:
            next(CronSim(self.cron, datetime.now(timezone.utc)))
        except (CronSimError, StopIteration):
            raise Wrong(
                "cron",
                f"{self.cron!r} is no time; write minute, hour, day, month and day of the week, "
                'such as "0 3 * * *"',
            ) from None


class Triggers(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[triggers]`."""

    webhook: tuple[Webhook, ...] = ()
    schedule: tuple[Schedule, ...] = ()
    cli: tuple[On, ...] = ()

    def __post_init__(self) -> None:
        _once("webhook", "path", [each.path for each in self.webhook])
        _once("schedule", "name", [each.name for each in self.schedule])

    @property
    def fields(self) -> frozenset[str]:
        """The names of all fields that an event may have."""
        ons = [*self.cli, *(on for each in self.webhook for on in each.on)]
        return frozenset(name for on in ons for name in on.fields)


def _checked(key: str, kind: type, value: str) -> None:
    try:
        kind(value)
    except ValueError as error:
        raise Wrong(key, str(error)) from None


def _once(key: str, what: str, values: list[str]) -> None:
    for value in values:
        if values.count(value) > 1:
            raise Wrong(key, f"two have the {what} {value!r}; put them together")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
