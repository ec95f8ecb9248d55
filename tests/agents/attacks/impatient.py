"""The command line of onecopy, whose sites wait no long time for who does not read."""

from __future__ import annotations

from onecopy.agents.server import site
from onecopy.cli.__main__ import main

if __name__ == "__main__":
    site.STALLED = 0.5  # type: ignore[misc]
    main()
