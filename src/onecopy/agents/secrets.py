"""Secrets: named in the manifest, read by the server only, and never shown.

A manifest has no secrets, only where they are: `env:NAME` or `file:/path`. What reads them is
`Secrets`, which remembers each value, so that `Redactor` takes it out of logs and records.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, quote_plus

from onecopy.errors import InvalidArgument

logger = logging.getLogger(__name__)

HIDDEN: Final = "[secret]"
MAX_NBYTES: Final = 64 << 10
# Shorter ones would be found everywhere, and hide nothing.
SHORTEST: Final = 4
_LINE: Final = 16

_NAME: Final = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*|file:/[^\s\x00]+")


class Secret(str):
    """Where a secret is: `env:NAME` or `file:/path`.

    Anything else is a `ValueError`, which does not repeat it: it may be the secret itself.
    """

    def __new__(cls, text: object) -> Secret:
        """Read one; what is none is a `ValueError` that says what to write."""
        if not isinstance(text, str) or _NAME.fullmatch(text) is None:
            raise ValueError('a secret is named, as "env:NAME" or "file:/path", not written here')
        return super().__new__(cls, text)


class HeaderValue(str):
    """The value of a header, with secrets among its words: `Bearer env:GITHUB_TOKEN`.

    It is printable ASCII, its words separated by single spaces; anything else, and a word that
    begins like a secret's name and is none, is a `ValueError`.
    """

    def __new__(cls, text: object) -> HeaderValue:
        """Read one; what is none is a `ValueError` that says what to write."""
        if not isinstance(text, str) or not (text.isascii() and text.isprintable()):
            raise ValueError("a header's value is printable ASCII on one line")
        if not text or text != " ".join(text.split()):
            raise ValueError("a header's value has no spaces around it, and single ones in it")
        for word in text.split():
            if word.startswith(("env:", "file:")):
                Secret(word)
        return super().__new__(cls, text)

    @property
    def secrets(self) -> list[Secret]:
        """The secrets among its words."""
        return [Secret(word) for word in self.split() if _NAME.fullmatch(word)]

    def fill(self, secrets: Secrets) -> str:
        """Return the value with its secrets in place.

        Raises:
            InvalidArgument: a secret cannot be read, or is no part of a header.
        """
        words = [secrets.word(Secret(w)) if _NAME.fullmatch(w) else w for w in self.split()]
        return " ".join(words)


class Secrets:
    """The values of secrets; a server has one of these.

    A file is read again when it has changed: tokens of GitHub Apps last for an hour, and a server
    that had to start anew for each would miss webhooks.

    Args:
        environ: where `env:` ones are; the process's environment if not given.
    """

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self._environ = os.environ if environ is None else environ
        self._values: dict[Secret, str] = {}
        self._seen: dict[Secret, tuple[int, ...]] = {}
        self.redactor = Redactor()

    def load(self, secrets: Iterable[Secret]) -> None:
        """Read all of these now, so that those that are not there are noticed at the start.

        Raises:
            InvalidArgument: some cannot be read; the text names each.
        """
        wrong = []
        for secret in dict.fromkeys(secrets):
            try:
                self.read(secret)
            except InvalidArgument as error:
                wrong.append(str(error))
        if wrong:
            raise InvalidArgument("; ".join(wrong))

    def read(self, secret: Secret) -> str:
        """Return the value of a secret, without the line break at its end.

        Raises:
            InvalidArgument: it is not there, is empty, is no text, or others may change it.
        """
        stamp = _stamp(secret)
        if secret not in self._values:
            self._keep(secret, self._now(secret))
        elif stamp != self._seen[secret]:
            try:
                self._keep(secret, self._now(secret))
            except InvalidArgument as error:
                logger.warning("%s; what was there before is used", error)
        # From before the file was read: one that is changed meanwhile is read once more.
        self._seen[secret] = stamp
        return self._values[secret]

    def _now(self, secret: Secret) -> str:
        kind, _, where = secret.partition(":")
        return self._variable(where) if kind == "env" else _file(where)

    def _keep(self, secret: Secret, value: str) -> None:
        self._values[secret] = value
        if len(value) < SHORTEST:
            logger.warning(
                "the secret %s has less than %d characters, and is not hidden in logs",
                secret,
                SHORTEST,
            )
        self.redactor.add(value)

    def word(self, secret: Secret) -> str:
        """Return a value that can be part of a header: printable ASCII."""
        value = self.read(secret)
        if not (value.isascii() and value.isprintable()):
            raise InvalidArgument(f"the secret {secret} has characters that no header may have")
        return value

    def _variable(self, name: str) -> str:
        value = self._environ.get(name, "").strip("\r\n")
        if not value.strip():
            raise InvalidArgument(
                f"the environment variable {name}, which the manifest names, is not set; set it "
                "where the server starts"
            )
        if not _encodable(value):
            raise InvalidArgument(f"the environment variable {name} is not UTF-8 text")
        return value


def _encodable(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _stamp(secret: Secret) -> tuple[int, ...]:
    """Return what differs once a file was changed; nothing of variables, which do not change."""
    kind, _, where = secret.partition(":")
    try:
        found = Path(where).stat() if kind == "file" else None
    except OSError:
        found = None
    if found is None:
        return ()
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size


def _file(where: str) -> str:
    path = Path(where)
    try:
        # Opened first and looked at then, so that it is the same file; never waits for a FIFO.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            _check_mode(path, os.fstat(descriptor))
            raw = file.read(MAX_NBYTES + 1)
    except OSError as error:
        raise InvalidArgument(f"the secret file:{where} cannot be read: {error.strerror}") from None
    if len(raw) > MAX_NBYTES:
        raise InvalidArgument(f"the secret file:{where} is over {MAX_NBYTES} bytes")
    try:
        value = raw.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise InvalidArgument(f"the secret file:{where} is not UTF-8 text") from None
    if not value.strip():
        raise InvalidArgument(f"the secret file:{where} is empty")
    return value


def _check_mode(path: Path, status: os.stat_result) -> None:
    """Refuse what others may write; containers mount secrets readable by all, so only warn then."""
    if not stat.S_ISREG(status.st_mode):
        raise InvalidArgument(f"the secret file:{path} is not a regular file")
    if status.st_mode & stat.S_IWOTH:
        raise InvalidArgument(f"everyone may write the secret file:{path}; run chmod 600 {path}")
    if status.st_mode & stat.S_IROTH:
        logger.warning("everyone may read the secret file:%s; run chmod 600 on it", path)


class Redactor:
    """Takes the values of secrets out of what is logged, recorded or shown.

    Each value is also found in base64 (both alphabets, at any offset), percent-encoded, in
    hexadecimal digits, as JSON writes it, and each of its longer lines by itself.

    Example:
        >>> Redactor(["hunter22"]).text("Bearer hunter22")
        'Bearer [secret]'
    """

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._forms: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        for value in values:
            self.add(value)

    def add(self, value: str) -> None:
        """Hide one more value from now on; one of less than `SHORTEST` characters is not hidden."""
        if len(value) < SHORTEST:
            return
        self._forms.update(form for form in _forms(value) if len(form) >= SHORTEST)
        # Longer ones first: one secret may begin with another.
        forms = sorted(self._forms, key=lambda form: (-len(form), form))
        self._pattern = re.compile("|".join(map(re.escape, forms)))

    def text(self, text: str) -> str:
        """Return the text without secrets."""
        # Looking for a text is far faster than for one of many, and mostly none is there.
        if self._pattern is None or not any(form in text for form in self._forms):
            return text
        return self._pattern.sub(HIDDEN, text)

    def value(self, value: Any) -> Any:
        """Return a JSON value without secrets, in its keys and in its texts, however deep."""
        if self._pattern is None:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, (list, tuple)):
            return [self.value(each) for each in value]
        if isinstance(value, dict):
            return {self.text(str(key)): self.value(each) for key, each in value.items()}
        return value


def _forms(value: str) -> Iterator[str]:
    raw = value.encode()
    yield value
    # Keys are of many lines, each of which tells enough.
    yield from (line for line in value.splitlines() if len(line) >= _LINE)
    yield repr(value)[1:-1]
    # Records have JSON texts in JSON: what a guest sends and gets.
    for ascii_only in (True, False):
        once = json.dumps(value, ensure_ascii=ascii_only)[1:-1]
        yield once
        yield json.dumps(once, ensure_ascii=ascii_only)[1:-1]
    yield quote(value, safe="")
    yield quote(value)
    yield quote_plus(value)
    yield raw.hex()
    yield raw.hex().upper()
    for skipped in range(3):
        yield from _base64(raw, skipped)


def _base64(raw: bytes, before: int) -> Iterator[str]:
    """The characters that `raw` alone decides when `before` bytes come before it in a text."""
    encoded = base64.b64encode(b"\0" * before + raw)
    # Each 3 bytes are 4 characters; those that share bits with what is around it are left out.
    start = -(-before * 8 // 6)
    sure = encoded[start : (before + len(raw)) * 8 // 6].decode()
    yield sure
    yield sure.replace("+", "-").replace("/", "_")
