"""What the demo's language model learns from: the texts of this package."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import onecopy

_PACKAGE: Final = Path(onecopy.__file__).parent


def corpus() -> str:
    """Return the documentation in a checkout, else the package's own sources."""
    root = _PACKAGE.parent.parent
    pages = sorted([*root.glob("*.md"), *root.glob("docs/**/*.md")])
    files = pages if len(pages) > 10 else sorted(_PACKAGE.rglob("*.py"))
    return "\n\n".join(path.read_text(encoding="utf-8") for path in files)
