"""A change: as the code-review bot writes it into a prompt, read again, or of a diff."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from onecopy.demo.agent.github.patch import hunks

if TYPE_CHECKING:
    from onecopy.demo.agent.github.history import ChangedFile

_DATA: Final = re.compile(r"^DATA (\S+)\n(.*)\nDATA \1$", re.DOTALL | re.MULTILINE)
_FILE: Final = re.compile(r"--- file: (?P<path>.*?)(?: \(was (?P<was>.*)\))?, (?P<status>\w+)")
_LINE: Final = re.compile(r"( {6}| *\d+) ([-+ ])(.*)")
_DEFINED: Final = re.compile(
    r"^(?:export |pub |public |static |async |default )*"
    r"(?:def|class|function|func|fn|struct|interface|trait|enum|type)\s+([A-Za-z_]\w*)"
)
TESTS: Final = re.compile(r"(^|/)tests?(/|_|\.)|_test\.|\.test\.|\.spec\.|conftest")
CODE: Final = re.compile(r"\.(py|js|ts|tsx|jsx|go|rs|c|h|cc|cpp|hpp|java|kt|rb|php|cs|swift|sh)$")


@dataclass(frozen=True)
class Line:
    """A line of a hunk: `+`, `-` or a blank, and its number on its side; 0 if it has none."""

    kind: str
    number: int
    text: str


@dataclass
class Hunk:
    """A run of lines; `section` is the function around it."""

    section: str
    lines: list[Line] = field(default_factory=list)


@dataclass
class File:
    """What is done to one file."""

    path: str
    status: str
    was: str = ""
    hunks: list[Hunk] = field(default_factory=list)

    def of_kind(self, kind: str) -> list[Line]:
        """Return the lines that are added (`+`) or removed (`-`)."""
        return [line for hunk in self.hunks for line in hunk.lines if line.kind == kind]

    def defined(self, kind: str) -> list[str]:
        """Return the names of functions and classes among such lines, each once."""
        found = (defined_by(line.text) for line in self.of_kind(kind))
        return list(dict.fromkeys(filter(None, found)))

    @property
    def is_test(self) -> bool:
        """Whether it is one of tests."""
        return bool(TESTS.search(self.path))

    @property
    def is_code(self) -> bool:
        """Whether it is a program's source."""
        return bool(CODE.search(self.path))


@dataclass
class Change:
    """A title, and what is done to each file."""

    title: str = ""
    files: list[File] = field(default_factory=list)

    @property
    def size(self) -> tuple[int, int]:
        """How many lines are added, and removed."""
        return (
            sum(len(file.of_kind("+")) for file in self.files),
            sum(len(file.of_kind("-")) for file in self.files),
        )


def defined_by(line: str) -> str:
    """Return the name of the function or class that a line begins; empty if it is none."""
    found = _DEFINED.match(line.strip())
    return found[1] if found else ""


def data_of(text: str) -> str:
    """Return what stands between the two lines `DATA word`; all of a text without them."""
    found = _DATA.search(text)
    return found[2] if found else text


def parse(text: str) -> Change:
    """Read a change; what is before the first file is its title and description.

    >>> parse("Title: Fix\\n--- file: a.py, modified\\n@@ def f\\n     3 +x = 1").size
    (1, 0)
    """
    change = Change()
    for line in text.split("\n"):
        header = _FILE.fullmatch(line)
        if header:
            change.files.append(File(header["path"], header["status"], header["was"] or ""))
        elif not change.files:
            if line.startswith("Title: ") and not change.title:
                change.title = line.removeprefix("Title: ").strip()
        else:
            _add(change.files[-1], line)
    change.files = list(_joined(change.files))
    return change


def of_files(files: Sequence[ChangedFile], title: str = "") -> Change:
    """Return the change that the bot would write of files; those without a patch have no lines."""
    return Change(title, [_read(each) for each in files])


def _read(file: ChangedFile) -> File:
    found = [
        Hunk(
            each.section, [Line(line.kind, line.new or line.old, line.text) for line in each.lines]
        )
        for each in hunks(file.patch)
    ]
    return File(file.path, file.status, file.previous or "", found)


def _add(file: File, line: str) -> None:
    if line.startswith("@@"):
        file.hunks.append(Hunk(line.removeprefix("@@").strip()))
        return
    found = _LINE.fullmatch(line)
    if found:
        if not file.hunks:
            file.hunks.append(Hunk(""))
        file.hunks[-1].lines.append(Line(found[2], int(found[1].strip() or 0), found[3]))


def _joined(files: Sequence[File]) -> Iterator[File]:
    """Put the pieces of a file that was cut up together."""
    known: dict[str, File] = {}
    for file in files:
        if file.path in known:
            known[file.path].hunks += file.hunks
        else:
            known[file.path] = file
            yield file
