"""Libraries compute with one thread here: others use the machine as well."""

from __future__ import annotations

import pytest


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
