"""The functions that modules import are those that the host has, and those of the C header."""

from __future__ import annotations

import inspect
import re

from onecopy.guests.toolchain import COMMAND_SDK
from onecopy.nn.guest import abi
from onecopy.nn.guest.functions import Functions

_DECLARED = re.compile(r"WASI_NN_IMPORT\((\w+)\)\s*int32_t \w+\(([^)]*)\)")


def test_each_takes_as_many_numbers_as_the_function_behind_it() -> None:
    for name, count in abi.ARITY.items():
        parameters = list(inspect.signature(getattr(Functions, name)).parameters)
        assert len(parameters) == 1 + count, name
        assert abi.SIGNATURES[name] == (("i32",) * count, ("i32",))


def test_the_header_declares_all_of_them_and_no_others() -> None:
    header = (COMMAND_SDK / "wasi_nn.h").read_text()
    declared = {name: len(params.split(",")) for name, params in _DECLARED.findall(header)}
    assert declared == abi.ARITY


def test_their_module_is_the_standards() -> None:
    assert (abi.WASI, abi.MODULE) == ("wasi_snapshot_preview1", "wasi_ephemeral_nn")
