"""A value of a manifest that cannot be, and the key that it is at."""

from __future__ import annotations


class Wrong(ValueError):
    """Raised while a manifest is read; becomes `InvalidManifest`, with file and line."""

    def __init__(self, key: str, text: str) -> None:
        super().__init__(text)
        self.key = key
