"""Fixtures: how an entry is opened makes no difference here, and is tested in tests/store."""

from __future__ import annotations

import pytest


@pytest.fixture
def direct() -> bool:
    """One way to open entries; test_sharing.py has both."""
    return True
