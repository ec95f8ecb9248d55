"""Libraries compute with one thread here: others use the machine as well."""

from __future__ import annotations

import os

import pytest

# Tests import this library directly, too, which would report each import to its maker.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"


@pytest.fixture(autouse=True)
def one_thread():
    try:
        import torch
    except ImportError:  # As where TensorFlow Lite is tested, beside this project's libraries.
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
