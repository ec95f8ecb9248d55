"""Fixtures of the client's tests."""

from __future__ import annotations

import pytest

from .servers import NAMES, Authority


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who signed the certificates of the servers of api.test and other.test."""
    return Authority(tmp_path_factory.mktemp("tls"), *NAMES)
