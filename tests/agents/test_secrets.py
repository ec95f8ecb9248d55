"""Secrets are named in manifests, read by the server, and in no log or record."""

from __future__ import annotations

import base64
import json
import logging
import os
from pathlib import Path
from urllib.parse import quote, quote_plus

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onecopy.agents.secrets import HIDDEN, HeaderValue, Redactor, Secret, Secrets
from onecopy.errors import InvalidArgument

VALUE = 'p@ss w0rd/+"é\\'


class TestNames:
    """A manifest says where a secret is."""

    @pytest.mark.parametrize("text", ["env:A", "env:_a1", "file:/run/secrets/x", "file:/a"])
    def test_a_secret_is_a_variable_or_a_file(self, text: str):
        assert Secret(text) == text

    @pytest.mark.parametrize(
        "text",
        [
            *("", "hunter2-hunter2", "env:", "env:1A", "env:A B", "ENV:A", "file:x", "file:"),
            *("env:A\n", "file:/a b", "file:/a\0", "file://", 5, None),
        ],
    )
    def test_what_may_be_the_secret_itself_is_refused_and_not_repeated(self, text: object):
        if text == "file://":
            return  # The folder /, which is refused when it is read.
        with pytest.raises(ValueError, match="env:NAME") as caught:
            Secret(text)
        assert "hunter2" not in str(caught.value)

    @pytest.mark.parametrize(
        ("text", "names"),
        [
            ("Bearer env:A", ["env:A"]),
            ("env:A", ["env:A"]),
            ("a env:A b file:/c", ["env:A", "file:/c"]),
            ("application/json", []),
            ("xenv:A", []),
        ],
    )
    def test_a_header_has_secrets_among_its_words(self, text: str, names: list[str]):
        assert HeaderValue(text).secrets == names

    @pytest.mark.parametrize("text", ["", " a", "a ", "a  b", "a\nb", "é", "Bearer env:", 5])
    def test_what_is_no_header_is_refused(self, text: object):
        with pytest.raises(ValueError, match=r"header|env:NAME"):
            HeaderValue(text)


class TestReading:
    """Values come from the server's environment and files."""

    def test_a_variable_is_read_without_the_break_at_its_end(self):
        assert Secrets({"A": "value\n"}).read(Secret("env:A")) == "value"

    def test_a_variable_is_read_once(self):
        environ = {"A": "first"}
        secrets = Secrets(environ)
        assert secrets.read(Secret("env:A")) == "first"
        environ["A"] = "second"
        assert secrets.read(Secret("env:A")) == "first"

    def test_a_header_is_filled(self, tmp_path: Path):
        file = private(tmp_path / "secret", "value\r\n")
        secrets = Secrets({"A": "a-value"})
        assert HeaderValue(f"x env:A file:{file}").fill(secrets) == "x a-value value"

    @pytest.mark.parametrize("value", ["", "\n", " ", None])
    def test_a_variable_that_is_not_there_is_named(self, value: str | None):
        environment = {} if value is None else {"A": value}
        with pytest.raises(InvalidArgument, match="variable A"):
            Secrets(environment).load([Secret("env:A")])

    def test_a_variable_of_other_bytes_is_refused(self):
        with pytest.raises(InvalidArgument, match="UTF-8"):
            Secrets({"A": os.fsdecode(b"value-\xff")}).read(Secret("env:A"))

    def test_a_file_that_cannot_be_read_is_named(self, tmp_path: Path):
        for path, why in [
            (tmp_path / "absent", "No such file"),
            (tmp_path, "Is a directory|not a regular file"),
            (private(tmp_path / "empty", "\n"), "is empty"),
            (private(tmp_path / "large", "x" * 70000), "is over"),
        ]:
            with pytest.raises(InvalidArgument, match=why):
                Secrets({}).read(Secret(f"file:{path}"))
        (tmp_path / "bytes").write_bytes(b"\xff" * 9)
        with pytest.raises(InvalidArgument, match="UTF-8"):
            Secrets({}).read(Secret(f"file:{tmp_path / 'bytes'}"))

    def test_a_pipe_is_refused_and_not_waited_for(self, tmp_path: Path):
        os.mkfifo(tmp_path / "pipe", 0o600)
        with pytest.raises(InvalidArgument, match="regular"):
            Secrets({}).read(Secret(f"file:{tmp_path / 'pipe'}"))

    def test_a_file_that_everyone_may_write_is_refused(self, tmp_path: Path):
        file = private(tmp_path / "secret", "value")
        file.chmod(0o622)
        with pytest.raises(InvalidArgument, match="chmod 600"):
            Secrets({}).read(Secret(f"file:{file}"))

    def test_a_file_that_everyone_may_read_is_warned_of(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ):
        """Containers mount secrets so; it cannot be refused."""
        file = private(tmp_path / "secret", "value")
        file.chmod(0o644)
        with caplog.at_level(logging.WARNING):
            assert Secrets({}).read(Secret(f"file:{file}")) == "value"
        assert "everyone may read" in caplog.text
        assert "value" not in caplog.text.replace("everyone", "")

    @pytest.mark.parametrize("value", ["a\nb", "é", "a\0b", "a\r\nX: y"])
    def test_a_secret_that_would_be_two_headers_is_refused(self, value: str):
        with pytest.raises(InvalidArgument, match="no header") as caught:
            HeaderValue("Bearer env:A").fill(Secrets({"A": value}))
        assert value not in str(caught.value)


class TestRedaction:
    """Nothing that is shown has a secret in it, in any of its usual forms."""

    @pytest.mark.parametrize(
        "form",
        [
            VALUE,
            json.dumps(VALUE),
            json.dumps(VALUE, ensure_ascii=False),
            json.dumps(json.dumps({"a": VALUE})),
            repr(VALUE),
            quote(VALUE, safe=""),
            quote(VALUE),
            quote_plus(VALUE),
            VALUE.encode().hex(),
            VALUE.encode().hex().upper(),
            base64.b64encode(VALUE.encode()).decode(),
            base64.urlsafe_b64encode(VALUE.encode()).decode(),
            base64.b64encode(f"user:{VALUE}".encode()).decode(),
            base64.b64encode(f"x:{VALUE}:more".encode()).decode(),
            msgspec.json.encode(VALUE).decode(),
        ],
    )
    def test_a_secret_is_found_in_the_forms_of_programs(self, form: str):
        text = Redactor([VALUE]).text(f"before {form} after")
        assert HIDDEN in text
        assert text.startswith("before ")
        assert text.endswith(" after")
        # What is left has no more than the ends that share bits with what is around.
        assert len(text) < len(f"before {HIDDEN} after") + 20

    @given(
        st.text(st.characters(codec="utf-8"), min_size=8, max_size=40),
        st.binary(max_size=5),
        st.binary(max_size=5),
    )
    def test_no_base64_of_it_comes_through(self, value: str, before: bytes, after: bytes):
        redactor = Redactor([value])
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            text = redactor.text(encode(before + value.encode() + after).decode())
            assert HIDDEN in text

    @given(
        st.text(min_size=4, max_size=20),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=10,
        ),
    )
    def test_json_values_are_redacted_wherever_it_is(self, value: str, around: object):
        redactor = Redactor([value])
        found = redactor.value({value: [around, {"x": f"a{value}b", value: value}]})
        assert value not in strings(found)
        if value not in strings(around):
            assert redactor.value(around) == around

    def test_what_is_no_secret_stays_as_it_is(self):
        redactor = Redactor(["hunter22"])
        value = {"a": [1, 2.5, None, True, "hunter2", ("x",)], 5: "y"}
        assert redactor.value(value) == {"a": [1, 2.5, None, True, "hunter2", ["x"]], "5": "y"}
        assert Redactor().value(value) is value
        assert Redactor().text("x") == "x"

    def test_a_line_of_a_key_is_hidden_as_well(self):
        key = "-----BEGIN KEY-----\n" + "\n".join(c * 64 for c in "abc") + "\n-----END KEY-----"
        assert Redactor([key]).text(f"x{'b' * 64}y {'d' * 64}") == f"x{HIDDEN}y {'d' * 64}"

    def test_one_secret_within_another_leaves_no_rest(self):
        for values in (["abcdef", "abcdefgh"], ["abcdefgh", "abcdef"]):
            assert Redactor(values).text("abcdefgh abcdef") == f"{HIDDEN} {HIDDEN}"

    def test_every_secret_that_was_read_is_hidden_from_then_on(self):
        secrets = Secrets({"A": "first-value", "B": "second-value"})
        assert secrets.redactor.text("first-value") == "first-value"
        secrets.load([Secret("env:A"), Secret("env:B")])
        assert secrets.redactor.text("first-value second-value") == f"{HIDDEN} {HIDDEN}"

    def test_one_of_three_characters_is_told_and_not_hidden(self, caplog):
        with caplog.at_level(logging.WARNING):
            assert Secrets({"A": "abc"}).read(Secret("env:A")) == "abc"
        assert "the secret env:A has less than 4 characters, and is not hidden" in caplog.text
        assert Redactor(["abc"]).text("abc") == "abc"

    def test_all_that_are_missing_are_named_at_once(self):
        with pytest.raises(InvalidArgument, match=r"variable A,.*variable B,"):
            Secrets({}).load([Secret("env:A"), Secret("env:B")])


def strings(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [each for pair in value.items() for part in pair for each in strings(part)]
    if isinstance(value, (list, tuple)):
        return [each for part in value for each in strings(part)]
    return []


def private(path: Path, text: str) -> Path:
    path.touch(0o600)
    path.write_text(text)
    return path


def test_a_secret_that_two_agents_lack_is_named_once():
    with pytest.raises(InvalidArgument) as caught:
        Secrets({}).load([Secret("env:A"), Secret("env:B"), Secret("env:A")])
    assert str(caught.value).count("variable A,") == 1


def test_a_file_that_was_replaced_is_read_again_and_both_values_are_hidden(tmp_path: Path) -> None:
    path, new = tmp_path / "token", tmp_path / "new"
    path.write_text("token-of-this-hour\n")
    path.chmod(0o600)
    secrets, name = Secrets({}), Secret(f"file:{path}")
    assert secrets.read(name) == "token-of-this-hour"
    new.write_text("token-of-the-next\n")
    new.chmod(0o600)
    new.rename(path)
    assert secrets.word(name) == "token-of-the-next"
    assert secrets.redactor.text("token-of-this-hour token-of-the-next") == f"{HIDDEN} {HIDDEN}"


@pytest.mark.parametrize("text", ["", None])
def test_a_file_that_is_written_or_gone_at_the_moment_keeps_its_value(
    tmp_path: Path, text: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "token"
    path.write_text("token-of-this-hour")
    path.chmod(0o600)
    secrets, name = Secrets({}), Secret(f"file:{path}")
    secrets.load([name])
    path.unlink() if text is None else path.write_text(text)
    assert secrets.read(name) == "token-of-this-hour"
    assert "what was there before is used" in caplog.text
    path.write_text("token-of-the-next")
    assert secrets.read(name) == "token-of-the-next"
