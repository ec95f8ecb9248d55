"""The manifest of an agent."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from onecopy.agents.manifest import json_value
from onecopy.agents.manifest.bound_event import BoundEvent
from onecopy.agents.manifest.grants import Grants
from onecopy.agents.manifest.limits import Limits, Records
from onecopy.agents.manifest.reader import read
from onecopy.agents.manifest.triggers import On, Schedule, Triggers, Webhook
from onecopy.agents.manifest.wrong import Wrong
from onecopy.agents.secrets import Secret
from onecopy.errors import InvalidEvent, InvalidManifest

_NAME: Final = re.compile(r"[a-z0-9-]{1,64}", re.ASCII)


class Agent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[agent]`: its name, and its code."""

    name: str
    component: str = ""
    """The file of the component, from the manifest's folder."""
    source: str = ""
    """Instead: the file of a program in Python or JavaScript, which is built and cached."""
    description: str = ""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise Wrong("name", f"{self.name!r} is no name of 1 to 64 small letters, digits and -")
        if bool(self.component) == bool(self.source):
            raise Wrong("component", 'write either component = "x.wasm" or source = "x.py"')
        if self.source and not self.source.endswith((".py", ".js")):
            raise Wrong("source", "write the name of a .py or a .js file")


class Document(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the text of a manifest says."""

    agent: Agent
    settings: dict[str, Any] = {}
    """Handed to the guest with each event."""
    limits: Limits = Limits()
    triggers: Triggers = Triggers()
    grants: Grants = Grants()
    records: Records = Records()

    def __post_init__(self) -> None:
        json_value.check(self.settings, "settings")
        known = self.triggers.fields
        bound = [(f"http[{i}].path", each.path.fields) for i, each in enumerate(self.grants.http)]
        bound += [
            (f"tools[{i}].request", each.request.fields)
            for i, each in enumerate(self.grants.tools)
            if each.request
        ]
        for key, fields in bound:
            if missing := fields - known:
                raise Wrong(
                    f"grants.{key}",
                    f"no trigger has the field {min(missing)!r}; add it to the fields of one",
                )


class Manifest(Document, frozen=True, kw_only=True):
    """All that a file `agent.toml` says; docs/agents-manifest.md has its keys.

    Example:
        >>> text = '[agent]\nname = "hello"\ncomponent = "hello.wasm"'
        >>> Manifest.parse(text, ".").limits.calls
        1000
    """

    folder: Path
    """That names of files in it are relative to."""

    @classmethod
    def load(cls, path: str | Path) -> Manifest:
        """Read a file, or `agent.toml` of a folder.

        Raises:
            InvalidManifest: it cannot be read, or cannot be; the text has file, line and key.
        """
        file = Path(path)
        file = file / "agent.toml" if file.is_dir() or not file.suffix else file
        try:
            text = file.read_bytes().decode()
        except FileNotFoundError:
            raise InvalidManifest(
                f"there is no {file}; onecopy agent new NAME makes a folder with one"
            ) from None
        except OSError as error:
            raise InvalidManifest(f"{file} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise InvalidManifest(f"{file} is no UTF-8 text") from None
        return cls.parse(text, file.parent, file=str(file))

    @classmethod
    def parse(cls, text: str, folder: str | Path, *, file: str = "agent.toml") -> Manifest:
        """Read the text of a manifest that lies in `folder`; `file` is its name in errors.

        Raises:
            InvalidManifest: it cannot be; the text has file, line and key.
        """
        document = read(text, Document, file, Path(folder))
        return cls(folder=Path(folder), **msgspec.structs.asdict(document))

    @property
    def name(self) -> str:
        """The agent's name."""
        return self.agent.name

    @property
    def code(self) -> Path:
        """The file of the component, or of the program that becomes one."""
        return self.folder / (self.agent.component or self.agent.source)

    @property
    def secrets(self) -> list[Secret]:
        """All secrets that it names, each once."""
        named = [*(each.secret for each in self.triggers.webhook), *self.grants.secrets]
        return list(dict.fromkeys(named))

    def webhook(self, path: str) -> Webhook | None:
        """Return the trigger that takes deliveries at a path."""
        return next((each for each in self.triggers.webhook if each.path == path), None)

    def bind_delivery(
        self, webhook: Webhook, headers: Mapping[str, str], payload: Any
    ) -> BoundEvent | None:
        """Make an event of a delivery whose signature is right; `None` if it is not for this agent.

        Raises:
            InvalidEvent: it is for this agent, but not as the manifest says.
        """
        return self._bind("webhook", webhook.on, webhook.kind(headers, payload), payload)

    def bind_cli(self, kind: str, payload: Any) -> BoundEvent:
        """Make an event of what a person sends; webhooks' kinds can be sent, too.

        Raises:
            InvalidEvent: no trigger is for it, or it is not as the manifest says.
        """
        webhooks = (on for each in self.triggers.webhook for on in each.on)
        bound = self._bind("cli", (*self.triggers.cli, *webhooks), kind, payload)
        if bound is None:
            raise InvalidEvent(
                f"no trigger of {self.name} is for this event of kind {kind!r}; add to agent.toml: "
                f'[[triggers.cli]] kinds = ["{kind}"], subject = "…"'
            )
        return bound

    def bind_schedule(self, schedule: Schedule) -> BoundEvent:
        """Make an event of a time that has come."""
        subject = schedule.subject or schedule.name
        return BoundEvent(self.name, "schedule", schedule.name, subject, settings=self.settings)

    def _bind(self, trigger: str, ons: Iterable[On], kind: str, payload: Any) -> BoundEvent | None:
        for on in ons:
            bound = on.bind(kind, payload)
            if bound is not None:
                subject, fields = bound
                return BoundEvent(self.name, trigger, kind, subject, fields, payload, self.settings)
        return None
