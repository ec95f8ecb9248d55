"""One thread for torch: with more, beside other work, OpenMP waits more than it works."""

import pytest
import torch


@pytest.fixture
def direct() -> bool:
    """One way to open entries is enough: tests/store has both."""
    return True


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.no_grad():
        yield
    torch.set_num_threads(before)
