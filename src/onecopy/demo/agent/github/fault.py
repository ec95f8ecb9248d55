"""What goes wrong on purpose."""

from __future__ import annotations

import re
from dataclasses import dataclass, field


@dataclass
class Fault:
    """What goes wrong, once: the first request with this method and path does not do well."""

    method: str
    path: str
    """A regular expression; all of the path has to match."""
    status: int = 502
    headers: dict[str, str] = field(default_factory=dict)
    done: bool = False
    """Whether the request is carried out nevertheless: the answer is what is lost."""

    def is_for(self, method: str, path: str) -> bool:
        """Whether this request is the one.

        >>> Fault("GET", "/repos/.*").is_for("GET", "/repos/octo/cat")
        True
        """
        return method == self.method and re.fullmatch(self.path, path) is not None
