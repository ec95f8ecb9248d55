"""What agents are written with: guest libraries, templates, and the build to components.

`python/onecopy_agent` and `js/onecopy_agent` become part of a component; nothing here imports
them. `importable()` is for tests of agents outside of WebAssembly.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

WIT: Final = Path(__file__).parents[1] / "wit"
"""The folder of agent.wit."""
PYTHON: Final = Path(__file__).with_name("python")
"""The folder to put on a Python path for `import onecopy_agent`."""
JAVASCRIPT: Final = Path(__file__).with_name("js")
"""The folder that has the npm package onecopy_agent."""
TEMPLATES: Final = Path(__file__).with_name("templates")


def importable() -> None:
    """Make `import onecopy_agent` work in this process, as tests of agents need it."""
    if str(PYTHON) not in sys.path:
        sys.path.append(str(PYTHON))
