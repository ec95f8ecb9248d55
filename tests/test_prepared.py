from __future__ import annotations

import os
import sys

import pytest

from tests.prepared import output_of

pytest.importorskip("torch")


def test_each_piece_has_a_process_of_its_own_with_torch_and_nothing_of_ours():
    code = "import os, sys; print(os.getpid(), 'torch' in sys.modules, 'onecopy' in sys.modules)"
    one, two = (output_of(code).split() for _ in range(2))
    assert one[1:] == two[1:] == ["True", "False"]
    assert len({one[0], two[0], str(os.getpid())}) == 3


def test_arguments_environment_and_folder_are_those_of_the_caller(tmp_path, monkeypatch):
    monkeypatch.setenv("A_TEST", "yes")
    monkeypatch.chdir(tmp_path)
    code = "import os, sys; print(sys.argv[1:], os.environ['A_TEST'], os.getcwd(), open(0).read())"
    assert output_of(code, 1, "a b") == f"['1', 'a b'] yes {tmp_path}"


def test_what_fails_says_why_and_the_next_is_served():
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        output_of("1 / 0")
    with pytest.raises(AssertionError):
        output_of("import os; os.kill(os.getpid(), 9)")
    assert output_of("print(1)") == "1"


def test_classes_are_found_in_its_main_module():
    code = "import pickle\nclass A: pass\nprint(type(pickle.loads(pickle.dumps(A()))) is A)"
    assert output_of(code) == "True"


def test_what_takes_too_long_is_ended_and_the_next_is_served():
    with pytest.raises(TimeoutError):
        output_of("import signal; signal.pause()", timeout=0.1)
    assert output_of("import sys; print(sys.version_info[:2])") == str(sys.version_info[:2])
