"""What can go wrong in the demo, in words for the person who runs it."""

from __future__ import annotations

from onecopy.errors import OnecopyError


class DemoError(OnecopyError):
    """The demo cannot go on; the text says what to do."""
