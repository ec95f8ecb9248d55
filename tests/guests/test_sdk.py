"""onecopy.h, as guests in C and C++ use it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from onecopy.guests import toolchain
from onecopy.guests.decoding.byte_tokenizer import byte_tokenizer
from onecopy.guests.decoding.controller import Controller
from onecopy.guests.decoding.vocabulary import Vocabulary
from onecopy.guests.instance.host import Host
from onecopy.guests.toolchain import build
from onecopy.guests.wasm import abi
from onecopy.guests.wasm.control import ControlPage
from onecopy.guests.wasm.module import compile_module
from tests.guests.sources import Write, instance

pytestmark = pytest.mark.usefixtures("compiler")

EVERYTHING = """
static uint32_t mask[OC_MASK_WORDS(64)], other[OC_MASK_WORDS(64)];
static int wanted(uint32_t token, void *context) { return token % *(uint32_t *)context == 0; }
OC_EXPORT int everything(void) {
    char text[8];
    uint32_t three = 3, tokens[4], length;
    struct oc_bias bias = {1, 2.0f};
    struct oc_transfer transfer = {0, 0, 0, 0, 0, 0, 0};
    oc_mask_clear(mask); oc_mask_fill(other); oc_mask_copy(mask, other); oc_mask_not(mask);
    oc_mask_where(mask, wanted, &three); oc_mask_where_contains(other, "x");
    oc_mask_and(mask, other); oc_mask_or(mask, other); oc_mask_veto(mask, other);
    oc_mask_allow(mask, 1); oc_mask_forbid(mask, 2); oc_mask_veto_list(mask, tokens, 1);
    oc_say("x"); oc_say_number("x", -1); oc_config_text(text, sizeof text);
    oc_token(1, &length); oc_token_is(1, "a"); oc_token_begins(1, "a");
    oc_grammar_consume_step(oc_grammar_new(OC_REGEX, "x", 1)); oc_grammar_mask(0, mask);
    oc_grammar_accepts(0); oc_grammar_forced(0, tokens, 4); oc_grammar_rollback(0, 1);
    oc_grammar_free(0); oc_tokenize("x", 1, tokens, 4); oc_var_get("x", 1, text, 8);
    oc_var_set("x", 1, text, 8); oc_read(0, 0, text, 8); oc_write(0, 0, text, 8);
    oc_stream_size(0); oc_register_range(text, 8); oc_submit(&transfer, 1); oc_complete(1);
    oc_data(oc_need_window("x")); oc_eos(); oc_step_token(oc_step_count());
    oc_splice(0, tokens, 1); oc_fork(2); oc_choose(3); oc_allow(mask);
    oc_allow_biased(mask, &bias, 1);
    return oc_mask_has(mask, 3) + (int)oc_mask_count(mask) + oc_stop();
}
"""


@pytest.mark.parametrize("name", ["all.c", "all.cpp"])
def test_the_header_has_no_warnings(
    write: Write, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    strict = ("-Wall", "-Wextra", "-pedantic", "-Wconversion", "-Wshadow", "-Werror")
    assert build(write(EVERYTHING, name), flags=strict)
    assert caplog.text == ""


def test_the_header_declares_every_import() -> None:
    text = (toolchain.SDK / "onecopy.h").read_text()
    assert {name for name in abi.SIGNATURES if f'OC_IMPORT("{name}")' in text} == set(
        abi.SIGNATURES
    )


def test_every_function_of_the_header_has_a_comment() -> None:
    lines = (toolchain.SDK / "onecopy.h").read_text().splitlines()
    starts = [i for i, line in enumerate(lines) if line.startswith(("OC_IMPORT", "static inline"))]
    bare = [lines[i] for i in starts if not _is_described(lines, i)]
    assert bare == []


def _is_described(lines: list[str], i: int) -> bool:
    # One comment may stand before a group without an empty line in it.
    while lines[i - 1] and not lines[i - 1].endswith("*/"):
        i -= 1
    return lines[i - 1].endswith("*/")


class Counting(Host):
    """A host that counts calls of `control`."""

    calls = 0

    def control(self) -> int:
        self.calls += 1
        return super().control()


def test_masks_and_step_tokens_cost_one_host_call(write: Write) -> None:
    host = Counting()
    source = write(
        "static uint32_t a[8], b[8];"
        "OC_EXPORT int f(void) { oc_mask_fill(a); oc_mask_clear(b);"
        " for (uint32_t i = 0; i < oc_step_count(); i++) oc_mask_allow(b, oc_step_token(i));"
        " oc_mask_veto(a, b); int without = (int)oc_mask_count(a); oc_mask_not(a);"
        " oc_mask_or(a, b); return without * 1000 + (int)oc_mask_count(a); }"
    )
    with instance(build(source), host) as guest:
        page: ControlPage = guest.control
        page.set_vocabulary(75, 0)
        page.begin(0, 0, [3, 4, 70])
        assert guest.call("f") == 72_003
        assert host.calls == 1


def test_numbers_are_logged_as_people_write_them(write: Write) -> None:
    host, said = Host(), []
    host.say = lambda _level, text: said.append(text)
    source = write(
        'OC_EXPORT void f(int64_t x) { oc_say_number("x = ", x); oc_say_number("", x / 2); }'
    )
    with instance(build(source), host) as guest:
        for number in (0, -1, 120, -(2**63)):
            guest.call("f", number)
    assert said == ["x = 0", "0", "x = -1", "0", "x = 120", "60",
                    "x = -9223372036854775808", "-4611686018427387904"]  # fmt: skip


WORDS = ("ab", "abc", "ba")


@pytest.fixture
def vocabulary() -> Iterator[Vocabulary]:
    """A token for each byte, the end (256), and one for each of WORDS (from 257)."""
    tokenizer = json.loads(byte_tokenizer())
    tokenizer["model"]["vocab"] |= {word: 257 + i for i, word in enumerate(WORDS)}
    tokenizer["model"]["merges"] = ["a b", "ab c", "b a"]
    with Vocabulary.from_tokenizer(json.dumps(tokenizer)) as vocabulary:
        yield vocabulary


ANSWERS = """
static uint32_t a[OC_MASK_WORDS(512)], b[OC_MASK_WORDS(512)];
static int is_short(uint32_t token, void *limit) {
    uint32_t length;
    oc_token(token, &length);
    return length && length <= *(uint32_t *)limit;
}
OC_EXPORT int mid_process(void) { return oc_stop(); }
OC_EXPORT int is_ab(int t) { return oc_token_is((uint32_t)t, "ab"); }
OC_EXPORT int begins_ab(int t) { return oc_token_begins((uint32_t)t, "ab"); }
OC_EXPORT int contains_b(int t) { return oc_token_contains((uint32_t)t, "b"); }
OC_EXPORT int length(int t) { uint32_t n; oc_token((uint32_t)t, &n); return (int)n; }
OC_EXPORT int with_b(void) {
    oc_mask_clear(a); oc_mask_where_contains(a, "b"); return (int)oc_mask_count(a);
}
OC_EXPORT int up_to(uint32_t limit) {
    oc_mask_clear(a); oc_mask_where(a, is_short, &limit); return (int)oc_mask_count(a);
}
OC_EXPORT int all_but_b(void) {
    oc_mask_clear(b); oc_mask_where_contains(b, "b");
    oc_mask_fill(a); oc_mask_veto(a, b);
    return (int)oc_mask_count(a) + 1000 * oc_mask_has(a, 257) + 2000 * oc_mask_has(a, 'a');
}
OC_EXPORT int both(void) {
    const uint32_t two[] = {257, 258};
    oc_mask_fill(a); oc_mask_and(a, b); oc_mask_veto_list(a, two, 2); oc_mask_or(a, a);
    oc_mask_copy(b, a); oc_mask_not(b);
    return (int)oc_mask_count(a) + 1000 * (int)oc_mask_count(b);
}
"""


def test_tokens_are_compared_by_their_bytes(write: Write, vocabulary: Vocabulary) -> None:
    module = compile_module(build(write(ANSWERS))).load()
    with Controller(module, vocabulary) as controller:
        controller.init_prompt([], 1)
        call = controller.instance.call
        tokens = {"a": 97, "b": 98, "eos": 256, "ab": 257, "abc": 258, "ba": 259, "none": 9999}

        def those(function: str) -> set[str]:
            return {name for name, token in tokens.items() if call(function, token)}

        assert those("is_ab") == {"ab"}
        assert those("begins_ab") == {"ab", "abc"}
        assert those("contains_b") == {"b", "ab", "abc", "ba"}
        assert those("length") == {"a", "b", "ab", "abc", "ba"}


def test_masks_are_sets_of_the_vocabulary(write: Write, vocabulary: Vocabulary) -> None:
    module = compile_module(build(write(ANSWERS))).load()
    with Controller(module, vocabulary) as controller:
        controller.init_prompt([], 1)
        call = controller.instance.call
        assert call("with_b") == 4
        assert call("up_to", 1) == 256
        assert call("up_to", 2) == 258
        assert call("all_but_b") == vocabulary.size - 4 + 2000
        assert call("both") == 2 + 1000 * (vocabulary.size - 2)
