"""Each import of a controller, called from C: what it does, and what it answers to nonsense."""

from __future__ import annotations

import logging
from array import array
from pathlib import Path

import numpy as np
import pytest

from onecopy import GuestTrapped
from onecopy.guests.decoding.controller import Controller
from onecopy.guests.decoding.controller_host import (
    MAX_GRAMMARS,
    MAX_TEXT_NBYTES,
    MAX_TOKENIZED_NBYTES,
    MAX_TOKENS,
)
from onecopy.guests.decoding.grammar_engine import KINDS
from onecopy.guests.decoding.grammars import Grammars
from onecopy.guests.decoding.variables import Variables
from onecopy.guests.decoding.vocabulary import Vocabulary
from onecopy.guests.wasm import abi
from onecopy.guests.wasm.abi import DENIED, HANDLE, INVALID, LIMIT, MISSING, OK, RANGE
from tests.guests.tokenizers_of import byte_level

WORDS = 32
CONFIG = b"the configuration"
FAR = 0xFFFF_FFF0
LATER = 32768  # where answers go, from the start of the guest's buffer


@pytest.fixture(scope="module")
def vocabulary():
    with Vocabulary.from_tokenizer(byte_level()) as vocabulary:
        yield vocabulary


@pytest.fixture(scope="module")
def grammars(vocabulary):
    return Grammars(vocabulary)


@pytest.fixture
def guest(vocabulary, grammars, build, compiled):
    module = compiled(build(Path(__file__).with_name("every_import.c")))
    with Controller(module, vocabulary, config=CONFIG, grammars=grammars) as controller:
        yield Guest(controller)


class Guest:
    """Calls imports through the guest, with bytes laid into its buffer."""

    def __init__(self, controller: Controller) -> None:
        self.controller = controller
        self.host = controller._host
        self.instance = controller.instance
        self.at = self.instance.call("at")

    def __call__(self, name: str, *arguments: object) -> int:
        """Bytes and lists of tokens become their address and length."""
        numbers: list[int] = []
        place = self.at
        for each in arguments:
            if isinstance(each, int):
                numbers.append(each)
                continue
            data = each if isinstance(each, bytes) else array("I", each).tobytes()
            self.instance.memory.write(place, data)
            numbers += [place, len(each)]
            place += len(data) + -len(data) % 4
        return self.instance.call(f"call_{name}", *numbers)

    @property
    def to(self) -> int:
        return self.at + LATER

    def bytes(self, count: int) -> bytes:
        return self.instance.memory.read(self.to, count)

    def tokens(self, count: int) -> list[int]:
        return array("I", self.bytes(4 * count)).tolist()

    def grammar(self, kind: str, text: bytes) -> int:
        self.host.compiling = 5.0
        try:
            return self("grammar_new", KINDS.index(kind), text)
        finally:
            self.host.compiling = 0.0

    def allowed(self) -> set[int]:
        bits = np.unpackbits(np.frombuffer(self.bytes(4 * WORDS), np.uint8), bitorder="little")
        return set(np.flatnonzero(bits).tolist())


def test_every_import_is_here():
    source = Path(__file__).with_name("every_import.c").read_text()
    assert all(f"call_{name}(" in source for name in abi.SIGNATURES)


def test_control_is_where_the_page_is(guest):
    magic = guest.instance.memory.read(guest("control"), 4)
    assert magic == b"OCG1"


def test_log_keeps_lines_with_their_levels(guest):
    for level in (0, 1, 2, 3, 77):
        guest("log", level, b"line")
    levels = [logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.ERROR]
    assert guest.controller.logs == [(each, "line") for each in levels]
    guest("log", 1, FAR, 100)
    assert "outside" in guest.controller.logs[-1][1]
    guest("log", 1, guest.at, 1 << 20)
    assert len(guest.controller.logs[-1][1]) == 1000
    for _ in range(1000):
        guest("log", 1, b"again")
    assert len(guest.controller.logs) == 256


def test_fail_ends_the_call_with_its_reason(guest):
    with pytest.raises(GuestTrapped, match="no more"):
        guest("fail", b"no more")


def test_config_copies_what_fits_and_tells_the_whole_length(guest):
    assert guest("config", guest.to, 100) == len(CONFIG)
    assert guest.bytes(len(CONFIG) + 1) == CONFIG + b"\0"
    assert guest("config", guest.to + 50, 3) == len(CONFIG)
    assert guest.bytes(54)[50:] == CONFIG[:3] + b"\0"
    assert guest("config", guest.to, 0) == len(CONFIG)
    assert guest("config", FAR, 100) == RANGE
    assert guest("config", guest.instance.memory.nbytes - 1, 100) == RANGE


def test_config_larger_than_room_does_not_write_past_it(guest):
    end = guest.instance.memory.nbytes
    assert guest("config", end - 4, 4) == len(CONFIG)
    assert guest("config", end, 0) == len(CONFIG)
    assert guest("config", end - 4, 5) == RANGE


def test_read_tokens_copies_from_a_number_on(guest):
    guest.host.tokens = list(range(300, 600))
    assert guest("read_tokens", 0, guest.to, 2) == 300
    assert guest.tokens(3) == [300, 301, 0]
    assert guest("read_tokens", 298, guest.to, 100) == 2
    assert guest.tokens(2) == [598, 599]
    assert guest("read_tokens", 300, guest.to, 100) == 0
    assert guest("read_tokens", 0xFFFFFFFF, guest.to, 100) == 0
    assert guest("read_tokens", 0, guest.to + 2, 100) == RANGE
    assert guest("read_tokens", 0, FAR, 100) == RANGE
    assert guest("read_tokens", 0, guest.instance.memory.nbytes - 8, 3) == RANGE


def test_tokenize_tells_how_many_tokens_there_are(guest, grammars):
    text = '{"name": "caf\u00e9"}'.encode()
    expected = grammars.tokenize(text)
    assert guest("tokenize", text, guest.to, 100) == len(expected)
    assert guest.tokens(len(expected)) == expected
    guest.instance.memory.write(guest.to, bytes(8))
    assert guest("tokenize", text, guest.to, 1) == len(expected)
    assert guest.tokens(2) == [expected[0], 0]
    assert guest("tokenize", b"", guest.to, 1) == 0
    assert guest("tokenize", b"\xff\xfe", guest.to, 8) == 2
    assert guest("tokenize", text, FAR, 100) == RANGE
    assert guest("tokenize", text, guest.to + 1, 100) == RANGE
    assert guest("tokenize", FAR, 100, guest.to, 100) == RANGE
    assert guest("tokenize", guest.at, MAX_TOKENIZED_NBYTES + 1, guest.to, 100) == LIMIT


def test_variables_are_set_and_read(guest):
    assert guest("var_get", b"count", guest.to, 8) == MISSING
    assert guest("var_set", b"count", b"12345") == OK
    assert guest("var_get", b"count", guest.to, 3) == 5
    assert guest.bytes(4) == b"123\0"
    assert guest.controller.variables[b"count"] == b"12345"
    assert guest("var_set", b"count", b"") == OK
    assert guest("var_get", b"count", guest.to, 3) == 0


def test_variables_have_limits(guest):
    assert guest("var_set", b"", b"x") == LIMIT
    assert guest("var_set", b"k" * 257, b"x") == LIMIT
    assert guest("var_get", b"k" * 257, guest.to, 1) == LIMIT
    assert guest("var_set", guest.at, 1, guest.at, MAX_TEXT_NBYTES + 1) == LIMIT
    assert guest("var_set", FAR, 20, guest.at, 1) == RANGE
    assert guest("var_set", guest.at, 1, FAR, 20) == RANGE
    assert guest("var_get", FAR, 20, guest.to, 1) == RANGE
    guest("var_set", b"count", b"12345")
    assert guest("var_get", b"count", FAR, 20) == RANGE
    value = b"v" * 30000
    answers = [guest("var_set", f"key {i}".encode(), value) for i in range(40)]
    assert (answers[0], answers[-1]) == (OK, LIMIT)
    assert isinstance(guest.controller.variables, Variables)
    assert guest.controller.variables.nbytes <= guest.controller.variables.limit_nbytes


def test_grammars_are_made_while_the_sequence_is_opened_only(guest):
    assert guest("grammar_new", 1, b"a+") == DENIED
    assert guest.grammar("regex", b"a+") == 0


def test_grammars_that_do_not_compile_say_why_in_the_log(guest):
    assert guest.grammar("regex", b"(a") == INVALID
    assert guest.controller.logs[-1][0] == logging.ERROR
    assert guest.grammar("regex", b"\xff") == INVALID
    assert guest.grammar("regex", b"a" * 100_000 + b"(") == INVALID
    assert len(guest.controller.logs[-1][1]) == 1000  # and not as long as what it quotes
    guest.host.compiling = 5.0
    assert guest("grammar_new", 3, b"a") == INVALID
    assert guest("grammar_new", 1, FAR, 20) == RANGE
    assert guest("grammar_new", 1, guest.at, MAX_TEXT_NBYTES + 1) == LIMIT


def test_there_are_only_so_many_grammars_and_handles_are_used_again(guest):
    handles = [guest.grammar("regex", b"a") for _ in range(MAX_GRAMMARS + 1)]
    assert handles == [*range(MAX_GRAMMARS), LIMIT]
    assert (guest("grammar_free", 3), guest("grammar_free", 3)) == (OK, HANDLE)
    assert guest.grammar("regex", b"a") == 3


@pytest.mark.parametrize("handle", [0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 0x80000000])
def test_a_handle_of_no_grammar_is_told(guest, handle):
    for name, arguments in {
        "grammar_free": (),
        "grammar_mask": (guest.to,),
        "grammar_step": (guest.to,),
        "grammar_consume": (guest.to, 1),
        "grammar_rollback": (0,),
        "grammar_accepts": (),
        "grammar_forced": (guest.to, 1),
    }.items():
        assert guest(name, handle, *arguments) == HANDLE


def test_a_grammar_goes_forward_and_back(guest, vocabulary, grammars):
    grammar = guest.grammar("regex", b"[0-9]x")
    digit, letter = grammars.tokenize(b"7"), grammars.tokenize(b"x")
    assert guest("grammar_mask", grammar, guest.to) == OK
    assert all(vocabulary.token(each)[:1].isdigit() for each in guest.allowed())
    assert guest("grammar_consume", grammar, [*digit, *digit]) == 1
    assert guest("grammar_consume", grammar, []) == 0
    assert guest("grammar_accepts", grammar) == 0
    assert guest("grammar_forced", grammar, guest.to, 8) == 1
    assert guest.tokens(1) == letter
    assert guest("grammar_consume", grammar, letter) == 1
    assert guest("grammar_accepts", grammar) == 1
    assert guest("grammar_rollback", grammar, 3) == INVALID
    assert guest("grammar_rollback", grammar, 2) == OK
    assert guest("grammar_consume", grammar, digit) == 1


def test_a_grammars_step_advances_by_the_tokens_of_the_call(guest, grammars):
    grammar = guest.grammar("regex", b"[0-9]x")
    guest.host.tokens = grammars.tokenize(b"7")
    assert guest("grammar_step", grammar, guest.to) == OK
    assert guest.allowed() == set(grammars.tokenize(b"x"))
    assert guest("grammar_step", grammar, guest.to) == INVALID


def test_other_kinds_of_grammars_compile(guest):
    assert guest.grammar("json_schema", b'{"type": "boolean"}') == 0
    assert guest.grammar("lark", b'start: "a" | "b"') == 1


def test_addresses_outside_memory_or_not_aligned_are_told(guest):
    grammar = guest.grammar("regex", b"abc")
    end = guest.instance.memory.nbytes
    for mask in (FAR, end, end - 4 * WORDS + 4, guest.to + 1, guest.to + 2):
        assert guest("grammar_mask", grammar, mask) == RANGE
        assert guest("grammar_step", grammar, mask) == RANGE
    for tokens in (FAR, end - 4, guest.to + 2):
        assert guest("grammar_consume", grammar, tokens, 2) == RANGE
        assert guest("grammar_forced", grammar, tokens, 2) == RANGE
    assert guest("grammar_mask", grammar, end - 4 * WORDS) == OK


def test_tokens_outside_the_vocabulary_and_too_many_are_told(guest, vocabulary):
    grammar = guest.grammar("regex", b"a*")
    assert guest("grammar_consume", grammar, [vocabulary.size]) == INVALID
    assert guest("grammar_consume", grammar, [0xFFFFFFFF]) == INVALID
    assert guest("grammar_consume", grammar, guest.at, MAX_TOKENS + 1) == LIMIT
    assert guest("grammar_rollback", grammar, 0xFFFFFFFF) == INVALID


def test_memory_that_grows_is_inside_at_once(guest):
    end = guest.instance.memory.nbytes
    guest.instance.memory.reserve(65536)
    assert guest("config", end, 100) == len(CONFIG)


def test_a_controller_has_no_streams(guest):
    assert guest("read", 0, 0, guest.to, 1) == DENIED
    assert guest("write", 0, 0, guest.to, 1) == DENIED
    assert guest("stream_size", 0) == DENIED
    assert guest("register_range", guest.to, 1) == DENIED
    assert guest("submit", guest.to, 1) == DENIED
    assert guest("complete", 0) == DENIED
