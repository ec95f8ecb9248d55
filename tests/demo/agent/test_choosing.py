"""The demo reviews a change in which there is something to find, if the history has one."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from onecopy.demo.agent.choosing import Choice, choose, suiting
from onecopy.demo.agent.example import BASE, FIRST, SECOND, Change, example
from onecopy.demo.agent.github.git_history import GitHistory
from onecopy.demo.agent.github.history import Versions
from onecopy.demo.agent.reviewer import Reviewer
from onecopy.errors import InvalidArgument
from tests.demo.agent.github.test_history import Repository, repository
from tests.demo.agent.test_reviewer import Equal, remark

__all__ = ["repository"]

CODE = "x = 1\n" * 30


def test_the_newest_two_commits_with_code_come_first(repository: Repository) -> None:
    code = {f"a{n}.py": CODE for n in range(2)}
    base = repository.commit(BASE)
    first = repository.commit({**BASE, **code})
    second = repository.commit({**BASE, **code, "b.py": CODE})
    third = repository.commit({**BASE, **code, "b.py": CODE, "README.md": "shorter\n"})
    last = repository.commit({**BASE, **code, "b.py": CODE, "README.md": "longer\n"})
    found = suiting(GitHistory(repository.folder))
    assert found == [
        ("a change", first, second, third),
        ("a change", base, first, second),
        ("a change", second, third, last),
    ]


def test_three_small_commits_are_enough(repository: Repository) -> None:
    base, first, second = [repository.commit({"README.md": f"{n}\n"}) for n in range(3)]
    assert suiting(GitHistory(repository.folder)) == [("a change", base, first, second)]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_repository_with_fewer_is_refused(repository: Repository, count: int) -> None:
    for n in range(count):
        repository.commit({"README.md": f"{n}\n"})
    with pytest.raises(InvalidArgument, match=f"three commits.*has {count}; .*--repo"):
        suiting(GitHistory(repository.folder))


def test_binary_files_and_very_large_changes_are_not_for_a_demo(repository: Repository) -> None:
    for n in range(3):
        repository.commit({"image.png": b"\0" * n, "long.py": "x\n" * 1000 * n})
    with pytest.raises(InvalidArgument, match=r"600 lines each; .*--repo"):
        suiting(GitHistory(repository.folder))


def test_as_many_are_offered_as_can_be_read_in_some_seconds(repository: Repository) -> None:
    for n in range(9):
        repository.commit({f"{name}.py": f"x = {n}\n" * 120 for name in "ab"[: 1 + n % 2]})
    found = suiting(GitHistory(repository.folder))
    assert len(found) == 4


def chosen(*trees: dict[str, str], words: str = "abc def ghi jkl") -> tuple[Choice, list[str]]:
    """What is chosen of versions, and these; a remark is made on each of the words."""
    versions, made = Versions(), list[str]()
    for tree in trees:
        made.append(versions.add(tree, parent=made[-1] if made else None))
    remarks = [remark(each, each, words=f"^{each}$") for each in words.split()]
    changes = [Change("t", *made[start : start + 3]) for start in reversed(range(len(made) - 2))]
    reviewer = Reviewer(Equal(), remarks)
    return asyncio.run(choose(versions, changes, reviewer)), made


def grown(*lines: str) -> list[dict[str, str]]:
    """Versions of a file to which a text is added each time."""
    return [{"a.py": "".join(lines[:end])} for end in range(1, len(lines) + 1)]


def test_the_one_with_most_findings_is_chosen() -> None:
    choice, made = chosen(*grown("1\n", "abc\ndef\n", "2\n", "ghi\n", "3\n", "4\n"))
    assert choice == (Choice(Change("t", *made[:3]), read=5))


def test_what_is_found_at_first_only_counts_more_than_what_is_pushed_later() -> None:
    choice, made = chosen(*grown("1\n", "ghi\n", "2\n", "3\n", "abc\ndef\n"))
    assert choice.change == Change("t", *made[:3])


def test_the_first_with_much_to_find_is_taken_without_reading_on() -> None:
    lines = ("1\n", "abc\ndef\nghi\njkl\n", "2\n", "abc\ndef\nghi\n", "3\n")
    choice, made = chosen(*grown(*lines))
    assert choice == Choice(Change("t", *made[2:]), read=2)


def test_where_nothing_is_found_the_first_is_taken_and_that_is_said() -> None:
    choice, made = chosen(*grown("1\n", "2\n", "3\n", "4\n"))
    assert choice == Choice(Change("t", *made[1:]), read=3, found=False)


def test_where_there_is_no_choice_nothing_is_read() -> None:
    choice, made = chosen(*grown("1\n", "2\n", "3\n"))
    assert choice == Choice(Change("t", *made))


def test_the_example_is_a_change_in_two_steps(tmp_path: Path) -> None:
    history, change = example()
    assert [each.path for each in history.files(change.base, change.first)] == ["shop/orders.py"]
    assert [each.path for each in history.files(change.first, change.second)] == ["shop/prices.py"]
    assert BASE.keys() < SECOND.keys()
    assert FIRST["README.md"] == BASE["README.md"]
