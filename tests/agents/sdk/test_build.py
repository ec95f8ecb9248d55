"""Building: what belongs to an agent, the cache, and errors that name the user's line."""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path

import pytest

from onecopy.agents.sdk.build import build
from onecopy.agents.sdk.toolchains import cache, qjs, sources
from onecopy.agents.sdk.toolchains.sources import Sources
from onecopy.errors import AccessDenied, BuildFailed, InvalidArgument

pytestmark = pytest.mark.usefixtures("caches")


@pytest.fixture
def toolchain(monkeypatch):
    """A toolchain in place of componentize-py: the component is the sources' text."""
    from onecopy.agents.sdk.toolchains import python

    built = []

    def componentize(sources, stage, out):
        built.append(sources.entry)
        out.write_bytes(b"\0asm" + b"".join(sources.files.values()))

    monkeypatch.setattr(python, "componentize", componentize)
    return built


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / "agent.py"


def test_the_same_source_is_built_once(toolchain, tmp_path):
    source = write(tmp_path, **{"agent.py": "a"})
    first, second = build(source), build(source)
    assert first == second
    assert len(toolchain) == 1
    assert first.read_bytes() == b"\0asma"


@pytest.mark.parametrize("name", ["agent.py", "lib/b.py", "vendor/p/data.txt"])
def test_a_change_of_any_file_of_it_builds_it_anew(toolchain, tmp_path, name):
    source = write(tmp_path, **{"agent.py": "a", "lib/b.py": "b", "vendor/p/data.txt": "c"})
    first = build(source)
    (tmp_path / name).write_text("changed")
    assert build(source) != first


def test_tests_environments_and_hidden_folders_do_not_belong_to_it(tmp_path):
    others = ["test_a.py", "tests/a.py", "conftest.py", ".git/a.py", "__pycache__/a.py", "a.txt"]
    others += ["venv/lib/a.py", "node_modules/a.py"]
    source = write(tmp_path, **{"agent.py": "", "lib/b.py": "", **dict.fromkeys(others, "")})
    (tmp_path / "venv" / "pyvenv.cfg").touch()
    assert list(Sources.beside(source).files) == ["agent.py", "lib/b.py"]


def test_a_folder_that_is_not_the_agents_own_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "_MAX_FILES", 40)
    source = write(tmp_path, **{f"m{n}.py": "" for n in range(50)}, **{"agent.py": ""})
    with pytest.raises(BuildFailed, match="a folder of its own"):
        build(source)


def test_a_component_is_written_where_it_is_asked_for(toolchain, tmp_path):
    out = tmp_path / "out.wasm"
    assert build(write(tmp_path, **{"agent.py": "a"}), out) == out
    assert out.read_bytes() == b"\0asma"
    assert [each.name for each in tmp_path.iterdir() if each.name.startswith(".")] == []


def test_the_cache_is_of_this_user_alone(toolchain, tmp_path, caches):
    build(write(tmp_path, **{"agent.py": "a"}))
    assert stat.S_IMODE((caches / "agents").stat().st_mode) == 0o700
    (caches / "agents").chmod(0o777)
    with pytest.raises(AccessDenied):
        build(tmp_path / "agent.py")


def test_the_cache_lets_go_of_the_oldest(toolchain, tmp_path, caches):
    source = tmp_path / "agent.py"
    for n in range(cache._KEPT + 3):
        source.write_text(str(n))
        component = build(source)
        os.utime(component, (n, n))
    assert len(list((caches / "agents").iterdir())) == cache._KEPT
    assert component.exists()


def test_a_torn_file_in_the_cache_is_built_anew(toolchain, tmp_path):
    source = write(tmp_path, **{"agent.py": "a"})
    build(source).write_bytes(b"")
    assert build(source).read_bytes() == b"\0asma"


def test_a_full_disk_is_said_with_what_to_do(toolchain, tmp_path, monkeypatch, caches):
    def full(component, out):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cache, "publish", full)
    with pytest.raises(BuildFailed, match=r"No space left.*XDG_CACHE_HOME"):
        build(write(tmp_path, **{"agent.py": "a"}))


def test_what_npm_installs_is_locked():
    lock = json.loads((qjs._LOCK / "package-lock.json").read_text())["packages"]
    assert lock[f"node_modules/{qjs.NAME}"]["version"] == qjs.VERSION
    assert all(each.get("integrity") for name, each in lock.items() if name)
    wanted = json.loads((qjs._LOCK / "package.json").read_text())["dependencies"]
    assert wanted == {qjs.NAME: qjs.VERSION}


def test_other_languages_are_refused_by_name(tmp_path):
    with pytest.raises(InvalidArgument, match=r"ends in \.py or \.js"):
        build(tmp_path / "agent.rs")


def test_a_missing_file_is_an_error_of_its_own(tmp_path):
    with pytest.raises(FileNotFoundError):
        build(tmp_path / "agent.py")


@pytest.mark.timeout(400)  # the tool takes ten seconds, and more beside others
def test_a_mistake_in_python_is_shown_with_file_and_line(tmp_path):
    source = write(tmp_path, **{"agent.py": "import lib.b\ndef handle(e): ...\n"})
    write(tmp_path, **{"lib/b.py": "\nimport numpy\n"})
    with pytest.raises(BuildFailed) as caught:
        build(source)
    assert f'File "{tmp_path}/lib/b.py", line 2' in str(caught.value)
    assert "No module named 'numpy'" in str(caught.value), "modules of this Python do not count"
    assert "onecopy_component" not in str(caught.value)
    assert "Stack backtrace" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\nlet handle(", r"agent\.js:2"),
        ("export const a = 1;", "exports no function `handle`"),
    ],
)
def test_a_mistake_in_javascript_is_shown(tmp_path, shared_qjs, text, said):
    source = tmp_path / "agent.js"
    source.write_text(text)
    with pytest.raises(BuildFailed, match=said):
        build(source)


def test_componentize_qjs_is_found_beside_the_agent_and_on_the_path(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    tool = tmp_path / "bin" / qjs.NAME
    tool.parent.mkdir()
    tool.touch(0o755)
    assert qjs.command(tmp_path) == [str(tool)]
    beside = tmp_path / "node_modules" / ".bin" / qjs.NAME
    beside.parent.mkdir(parents=True)
    beside.touch()
    (tmp_path / "agent").mkdir()
    assert qjs.command(tmp_path / "agent") == [str(beside)]


def test_without_node_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BuildFailed, match=r"needs Node\.js 18"):
        qjs.command(tmp_path)


def test_offline_it_says_what_to_fetch_beforehand(tmp_path, monkeypatch):
    for name in ("npm", "node"):
        (tmp_path / name).write_text("#!/bin/sh\necho 'network: no' >&2\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(BuildFailed, match=r"(?s)npm install componentize-qjs.*network: no"):
        qjs.command(tmp_path)


def test_what_is_left_of_a_cache_that_was_swept_is_replaced(tmp_path, monkeypatch):
    (tmp_path / "node").touch(0o755)
    made = "node_modules/.bin"
    # npm ci … --prefix FOLDER
    npm = f'for last; do :; done; mkdir -p "$last/{made}"; touch "$last/{made}/{qjs.NAME}"'
    (tmp_path / "npm").write_text(f"#!/bin/sh\n{npm}\n")
    (tmp_path / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    tool = Path(qjs.command(tmp_path)[0])
    tool.unlink()  # all the folders stay
    assert qjs.command(tmp_path) == [str(tool)]
    assert tool.exists()
    assert [each.name for each in tool.parents[3].iterdir()] == [tool.parents[2].name]


def test_a_missing_componentize_py_says_what_to_install(tmp_path, monkeypatch):
    from importlib.metadata import PackageNotFoundError

    from onecopy.agents.sdk.toolchains import python

    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(python, "version_of", missing)
    with pytest.raises(BuildFailed, match=r"pip install 'onecopy\[agents-build\]'"):
        build(write(tmp_path, **{"agent.py": "def handle(e): ..."}))


def test_the_types_of_javascript_fit_what_there_is():
    from onecopy.agents.sdk import JAVASCRIPT

    folder = JAVASCRIPT / "onecopy_agent"
    names = set()
    for file in ("index.js", "errors.js"):
        for line in (folder / file).read_text().splitlines():
            if line.startswith(("export const ", "export function ", "export class ")):
                names.add(line.split()[2].split("(")[0])
    declared = (folder / "index.d.ts").read_text()
    assert {name for name in names if f" {name}" in declared} == names - {"translated"}
