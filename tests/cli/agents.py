"""An agent for tests of its commands, with events and a folder of state."""

from __future__ import annotations

import json
from pathlib import Path

from tests.agents.server.conftest import make_agent
from tests.cli.commands import run


class Agent:
    """An agent that does what its event says (actions.wat), in a folder."""

    def __init__(self, place: Path, **changes: str) -> None:
        self.folder = make_agent(place / "agent", **changes)
        self.state = ("--state", place / "state")
        self.kept = place / "state"

    def event(self, do: str, number: int = 1) -> Path:
        """Write the file of an event."""
        path = self.folder / f"{do}.json"
        path.write_text(json.dumps({"number": number, "do": f"!{do}"}))
        return path

    def run(self, do: str, code: int = 0) -> str:
        """Run it once, and return the number of the run."""
        run("agent", "run", self.folder, "-e", self.event(do), *self.state, code=code)
        said = run("agent", "runs", "--json", "-n", "1", *self.state).stdout
        return str(json.loads(said)[0]["id"])
