"""What changes from one version to another is what git says."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onecopy.demo.agent.github.git_history import GitHistory
from onecopy.demo.agent.github.history import Versions
from onecopy.errors import InvalidArgument

OLD = {
    "same.py": "x = 1\n",
    "changed.py": "".join(f"line {n}\n" for n in range(40)),
    "gone.py": "old\n",
    "before.py": "moved = True\n" * 5,
    "image.png": b"\x89PNG\0old",
    "no newline.txt": "a\nb",
}
NEW = {
    "same.py": "x = 1\n",
    "changed.py": "".join(f"line {n}\n" for n in range(40) if n != 3) + "more\n",
    "sub/after.py": "moved = True\n" * 5,
    "new ü.py": "new\nlines\n",
    "image.png": b"\x89PNG\0new",
    "no newline.txt": "a\nc",
}


class Repository:
    """A git repository with a commit for each tree."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._git("init", "-q", "-b", "main")

    def commit(self, tree: dict[str, str | bytes]) -> str:
        for path in self.folder.iterdir():
            if path.name != ".git":
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        for name, text in tree.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return self.commit_all()

    def merge(self, onto: str, other: str, message: str) -> str:
        """Merge a commit into one before it, which has to be possible without conflicts."""
        self._git("reset", "-q", "--hard", onto)
        self._git("merge", "-q", "--no-ff", "-m", message, other)
        return self._git("rev-parse", "HEAD")

    def commit_all(self) -> str:
        """Commit the folder as it is."""
        self._git("add", "-A")
        self._git("commit", "-q", "--allow-empty", "-m", "a change")
        return self._git("rev-parse", "HEAD")

    def _git(self, *arguments: str) -> str:
        who = {f"GIT_{role}_{what}": "a@b.example" for role in ("AUTHOR", "COMMITTER")
               for what in ("NAME", "EMAIL")}  # fmt: skip
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.folder,
            check=True,
            capture_output=True,
            text=True,
            env={"PATH": os.environ["PATH"], "HOME": str(self.folder), **who},
        )
        return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    folder = tmp_path / "repository"
    folder.mkdir()
    return Repository(folder)


def test_both_histories_list_the_same_changes(repository: Repository) -> None:
    old, new = repository.commit(OLD), repository.commit(NEW)
    versions = Versions()
    first = versions.add(OLD)
    second = versions.add(NEW, parent=first)
    ours = {each.path: each for each in versions.files(first, second)}
    theirs = {each.path: each for each in GitHistory(repository.folder).files(old, new)}
    assert ours.keys() == theirs.keys()
    for path, file in theirs.items():
        for name in ("status", "additions", "deletions", "sha", "previous"):
            assert getattr(ours[path], name) == getattr(file, name), (path, name)
        assert (ours[path].patch is None) == (file.patch is None), path
    assert ours["no newline.txt"].patch == theirs["no newline.txt"].patch
    assert theirs["sub/after.py"].previous == "before.py"
    assert theirs["image.png"].patch is None


trees = st.dictionaries(
    st.sampled_from(["a.py", "b/c.py", "d.txt", "e f"]),
    st.lists(st.sampled_from(["one", "two", "three", "@@ -1 +1 @@", "+", "-"])).map(
        lambda lines: "".join(f"{line}\n" for line in lines)
    ),
)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(old=trees, new=trees)
def test_counts_of_lines_are_those_of_the_patches(old: dict, new: dict) -> None:
    versions = Versions()
    first = versions.add(old)
    for file in versions.files(first, versions.add(new, parent=first)):
        lines = (file.patch or "").split("\n")
        body = [line for line in lines if not line.startswith("@@ -") or line[1:].startswith("@@@")]
        assert sum(line.startswith("+") for line in body) == file.additions
        assert sum(line.startswith("-") for line in body) == file.deletions


def test_a_change_begins_where_the_base_was_left(repository: Repository) -> None:
    versions = Versions()
    root = versions.add({"a": "1\n"})
    main = versions.add({"a": "1\n", "main": "2\n"}, parent=root)
    head = versions.add({"a": "1\n", "head": "3\n"}, parent=root)
    assert [each.path for each in versions.files(main, head)] == ["head"]
    assert versions.is_ancestor(root, head)
    assert not versions.is_ancestor(main, head)
    assert "nothing" not in versions


def test_a_repository_says_which_commits_there_are(repository: Repository) -> None:
    made = [repository.commit({"a": f"{n}\n"}) for n in range(3)]
    history = GitHistory(repository.folder)
    assert [each.commit for each in history.sizes()] == made[::-1]
    assert [each.commit for each in history.sizes(2)] == made[:0:-1]
    assert history.title(made[0]) == "a change"
    assert made[0] in history
    assert "0" * 40 not in history
    assert history.is_ancestor(made[0], made[2])
    assert not history.is_ancestor(made[2], made[0])


def test_a_folder_without_a_repository_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="git"):
        GitHistory(tmp_path)


def test_sizes_are_those_along_first_parents(repository: Repository) -> None:
    root = repository.commit({"a.py": "1\n", "image.png": b"\0"})
    side = repository.commit({"a.py": "1\n", "ü {b}.py": "2\n3\n", "image.png": b"\0"})
    merge = repository.merge(root, side, "Merge branch 'side'")
    moved = repository.commit({"c/a.py": "1\n", "ü {b}.py": "2\n", "image.png": b"\0\0"})
    sizes = GitHistory(repository.folder).sizes()
    assert [(each.commit, len(each.paths), each.lines) for each in sizes] == [
        (moved, 3, 1),
        (merge, 1, 2),
        (root, 2, 1),
    ]
    assert all(each.paths[0].endswith(".py") for each in sizes)


def test_a_merge_has_the_title_of_what_it_merges(repository: Repository) -> None:
    root = repository.commit({"a": "1\n"})
    side = repository.commit({"a": "1\n", "b": "2\n"})
    history = GitHistory(repository.folder)
    assert history.title(repository.merge(root, side, "Merge branch 'side'")) == "a change"
    of_github = "Merge pull request #1 from ada/side\n\nAdd b"
    assert history.title(repository.merge(root, side, of_github)) == "Add b"
    assert history.title(repository.merge(root, side, "Both")) == "Both"


def test_a_repository_without_commits_has_none(repository: Repository) -> None:
    assert GitHistory(repository.folder).sizes() == []


def test_names_that_look_like_patterns_are_names(repository: Repository) -> None:
    old = repository.commit({"*.py": "1\n", "a.py": "1\n", ":(top)b": "1\n"})
    new = repository.commit({"*.py": "2\n", "a.py": "2\n", ":(top)b": "2\n"})
    files = GitHistory(repository.folder).files(old, new)
    assert {each.patch for each in files} == {"@@ -1 +1 @@\n-1\n+2"}
    assert {each.path for each in files} == {"*.py", "a.py", ":(top)b"}


def test_what_becomes_a_link_has_no_patch(repository: Repository) -> None:
    old = repository.commit({"a": "1\n", "b": "2\n"})
    (repository.folder / "a").unlink()
    (repository.folder / "a").symlink_to("b")
    new = repository.commit_all()
    (file,) = GitHistory(repository.folder).files(old, new)
    assert (file.path, file.status, file.patch) == ("a", "modified", None)
