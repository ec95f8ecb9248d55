"""Loading the C library."""

import pytest

from onecopy import native
from tests.processes import output_of


@pytest.fixture
def path(tmp_path, monkeypatch):
    path = tmp_path / "_native.so"
    monkeypatch.setattr(native, "_PATH", path)
    native.library.cache_clear()
    yield path
    native.library.cache_clear()


def test_one_that_was_not_built_says_what_to_do(path):
    with pytest.raises(native.Unavailable, match=r"not built.*python -m onecopy\.native\.build"):
        native.library()


def test_one_that_does_not_load_says_why(path):
    path.write_bytes(b"no library")
    with pytest.raises(native.Unavailable, match=r"does not load \(.*file too short|invalid ELF"):
        native.library()


def test_importing_onecopy_does_not_load_it():
    assert (
        output_of(
            """
            import sys
            import onecopy, onecopy.native
            print("_native.so" in open("/proc/self/maps").read(), "torch" in sys.modules)
            """
        )
        == "False False"
    )


def test_asking_where_memory_is_does_not_load_it():
    assert (
        output_of(
            """
            from onecopy.tensors import arena
            print(arena.locate(4096, 10))
            print("_native.so" in open("/proc/self/maps").read())
            """
        )
        == "None\nFalse"
    )
