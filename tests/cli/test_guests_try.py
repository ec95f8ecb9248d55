"""`guest test`: controllers fed by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import onecopy
from onecopy.guests.decoding.byte_tokenizer import byte_tokenizer
from tests.cli.commands import refused, run

pytestmark = pytest.mark.usefixtures("compiler")

Write = Callable[[str], Path]

LETTERS = """
#include "onecopy.h"
static uint32_t mask[OC_MASK_WORDS(512)];
OC_EXPORT int mid_process(void) {
    oc_mask_clear(mask);
    for (uint32_t c = 'a'; c <= 'c'; c++) oc_mask_allow(mask, c);
    if (oc_control()->step > 2) oc_mask_allow(mask, oc_eos());
    if (oc_step_count() && oc_step_token(0) == oc_eos()) return oc_stop();
    return oc_allow(mask);
}
"""


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a file, whose kind is seen from its text."""

    def write(text: str) -> Path:
        path = tmp_path / ("x.c" if "onecopy.h" in text else "script.txt")
        path.write_text(text)
        return path

    return write


def body(text: str) -> str:
    """Return a controller with this body of mid_process."""
    return f'#include "onecopy.h"\nOC_EXPORT int mid_process(void) {{ {text} }}'


def test_each_step_is_shown_with_what_it_allows(write: Write) -> None:
    script = write('"a"\n["b", "c"]\n"a"\neos => stop\n')
    result = run("guest", "test", write(LETTERS), "--script", script)
    steps = [line.split(" ms", 1)[1].split() for line in result.stdout.splitlines()]
    allowed = ["allows", "3", "of", "257:", '"a"', '"b"', '"c"']
    assert steps == [
        ["ready"],
        allowed,
        ['"a"', *allowed],
        ['"b"', '"c"', *allowed],
        ['"a"', "allows", "4", "of", "257:", '"a"', '"b"', '"c"', "eos"],
        ["eos", "stop"],
    ]
    assert result.stderr == ""


def test_a_new_controller_passes_its_own_script(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    run("guest", "new", folder)
    options = ("--config", folder / "config.json", "--script", folder / "script.txt")
    assert "allows 1 of 257: eos" in run("guest", "test", folder / "mine.c", *options).stdout


def test_what_is_not_as_the_script_says_is_named_by_its_line(write: Write) -> None:
    script = write('=> allows "a"; count 4\n"a" => only "a" "b" "c"; forbids "b"\n')
    result = run("guest", "test", write(LETTERS), "-s", script, "-e", "stop", code=1)
    assert result.stderr.splitlines() == [
        "onecopy: script.txt, line 1: not so: count 4",
        'onecopy: script.txt, line 2: not so: forbids "b"',
        "onecopy: script.txt, line 2: not so: stop",
    ]


def test_a_token_that_is_not_allowed_is_not_fed(write: Write) -> None:
    script = write('"abz" => refused\n"c" => allows eos\n')
    assert run("guest", "test", write(LETTERS), "-s", script).stdout.count("refused") == 1
    script = write('"z"\n')
    result = run("guest", "test", write(LETTERS), "-s", script, code=1)
    assert "script.txt, line 1: the step before does not allow this token" in result.stderr


def test_after_a_stop_nothing_is_allowed(write: Write) -> None:
    script = write('"a" => refused')
    assert "stop" in run("guest", "test", write(body("return oc_stop();")), "-s", script).stdout


def test_a_splice_is_carried_out(write: Write) -> None:
    source = body(
        "static const uint32_t more[] = {'x', 'y'};"
        "if (oc_step_count() == 1) return oc_splice(1, more, 2); return oc_allow(NULL);"
    )
    result = run("guest", "test", write(source), "-s", write('"a" => all\n["a", "b"] => all'))
    assert 'splice: takes back 1, appends "x" "y"' in result.stdout
    assert '"x" "y"      allows all' in result.stdout


def test_choices_can_be_followed(write: Write) -> None:
    source = body("return oc_choose('a' + oc_control()->step);")
    script = write('=> chooses "a"\n"b" => refused\nchosen => chooses "b"\n"b" => chooses "c"')
    assert 'chooses "c"' in run("guest", "test", write(source), "-s", script).stdout


def test_biases_can_be_checked(write: Write) -> None:
    source = body(
        "static const struct oc_bias biases[] = {{'a', 1.5f}, {'b', -2.0f}};"
        "return oc_allow_biased(NULL, biases, 2);"
    )
    script = write('=> all; bias "a" 1.5; bias "b" -2')
    assert "allows all, 2 biases" in run("guest", "test", write(source), "-s", script).stdout
    assert (
        'not so: bias "c" 1'
        in run("guest", "test", write(source), "-e", 'bias "c" 1', code=1).stderr
    )


def test_a_guest_that_fails_is_a_failure_unless_expected(write: Write) -> None:
    source = write(body('oc_say("so far"); oc_give_up("no idea");'))
    result = run("guest", "test", source, code=1)
    assert "fails: the guest gave up: no idea" in result.stdout
    assert "the guest says: so far" in result.stderr
    assert run("guest", "test", source, "--expect", "fails").stderr.count("onecopy:") == 0


def test_a_guest_that_loops_is_cut_off(write: Write) -> None:
    source = write(body("for (volatile int i = 0;; i++) ;"))
    assert "fails: " in run("guest", "test", source, "--seconds", "0.05", "-e", "fails").stdout


def test_a_mask_without_a_token_fails(write: Write) -> None:
    source = body("static uint32_t mask[OC_MASK_WORDS(512)]; return oc_allow(mask);")
    assert "allows no token" in run("guest", "test", write(source), "-e", "fails").stdout


def test_the_prompt_is_given_to_init_prompt(write: Write) -> None:
    source = body("return oc_stop();").replace(
        "OC_EXPORT",
        'OC_EXPORT int init_prompt(void) { oc_say_number("tokens: ", oc_step_count()); return 0; }'
        "\nOC_EXPORT",
    )
    result = run("guest", "test", write(source), "--prompt", "Hi there")
    assert "the guest says: tokens: 8" in result.stderr
    assert '"H" "i" " " "t"' in result.stdout


def test_a_vocabulary_is_read_from_a_tokenizer(write: Write, tmp_path: Path) -> None:
    tokenizer = json.loads(byte_tokenizer())
    tokenizer["model"]["vocab"]["ab"] = 257
    tokenizer["model"]["merges"] = ["a b"]
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(tokenizer))
    source = body(
        "static uint32_t mask[OC_MASK_WORDS(512)];"
        'oc_mask_clear(mask); oc_mask_where_contains(mask, "b"); return oc_allow(mask);'
    )
    script = write('=> count 2; allows "ab" "b"; forbids "a"\n"abb"')
    shown = run("guest", "test", write(source), "--vocab", path, "-s", script).stdout
    assert shown.count('allows 2 of 258: "b" "ab"') == 3


def test_what_is_no_controller_is_refused(write: Write) -> None:
    source = write('#include "onecopy.h"\nOC_EXPORT int f(void) { return 1; }')
    assert "no function mid_process" in refused("guest", "test", source)


def test_tokens_outside_the_vocabulary_are_refused(write: Write) -> None:
    result = run("guest", "test", write(LETTERS), "-s", write("999"), code=1)
    assert "999 is no token: the vocabulary has 257" in result.stderr


def test_an_entry_is_a_window(write: Write, store: onecopy.Store) -> None:
    store.save("letters", b"xyz", align=4096)
    source = body(
        "static uint32_t mask[OC_MASK_WORDS(512)];"
        'const struct oc_window *w = oc_need_window("w");'
        "for (uint32_t i = 0; i < w->nbytes; i++) oc_mask_allow(mask, ((char *)oc_data(w))[i]);"
        "return oc_allow(mask);"
    )
    check = 'only "x" "y" "z"'
    run("guest", "test", write(source), "--window", "w=test/letters", "--expect", check)


def test_the_host_can_take_tokens_back(write: Write) -> None:
    source = body(
        "static int total; static uint32_t mask[OC_MASK_WORDS(512)];"
        "total += (int)oc_step_count();"
        "oc_mask_clear(mask); oc_mask_allow(mask, 'a' + total); return oc_allow(mask);"
    )
    script = write('"abcd" => only "e"\nrollback 3 => only "b"\n"b" => only "c"')
    run("guest", "test", write(source), "-s", script)
    assert (
        "2 follow the prompt"
        in run("guest", "test", write(source), "-s", write('"ab"\nrollback 3'), code=1).stderr
    )


def test_a_fork_shows_each_branch_and_goes_on_with_the_first(write: Write) -> None:
    source = body(
        "static uint32_t mask[OC_MASK_WORDS(512)];"
        "if (oc_control()->step == 1) return oc_fork(3);"
        "oc_mask_clear(mask); oc_mask_allow(mask, 'a' + oc_control()->branch);"
        "return oc_allow(mask);"
    )
    script = write('"a" => only "a"\n"a" => only "a"')
    shown = run("guest", "test", write(source), "-s", script).stdout
    assert "fork into 3" in shown
    assert 'branch 1: allows 1 of 257: "b"' in shown
    assert 'branch 2: allows 1 of 257: "c"' in shown


def test_a_fork_and_a_splice_can_be_checked_though_the_script_goes_on(write: Write) -> None:
    forking = body(
        "if (oc_control()->step == 0) return oc_fork(3);"
        "static const uint32_t more[] = {'x', 'y'};"
        "if (oc_step_count() == 1) return oc_splice(1, more, 2); return oc_allow(NULL);"
    )
    script = write('=> fork 3; all\n"a" => splice "xy"; backtrack 1; all')
    run("guest", "test", write(forking), "-s", script)
    for wrong in ("=> fork 2", '=> splice "xy"', '"a" => splice "x"', '"a" => fork 3'):
        assert "not so" in run("guest", "test", write(forking), "-s", write(wrong), code=1).stderr
